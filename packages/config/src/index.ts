export * from "./dockerfiles.js";
export * from "./environment.js";
export * from "./privileges.js";
export * from "./settings.js";
export * from "./supervised.js";
export * from "./user-settings.js";
