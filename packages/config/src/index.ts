export * from "./dockerfiles.js";
export * from "./environment.js";
export * from "./privileges.js";
export * from "./settings.js";
export { exitWithParent, SUPERVISED_ENVIRONMENT } from "./supervised.js";
export { type UserSettings, userSettings } from "./user-settings.js";
