export * from "./certificates.js";
export type { DataPaths } from "./data-paths.js";
export * from "./dockerfiles.js";
export * from "./environment.js";
export * from "./privileges.js";
export { loadSettings, type Settings } from "./settings.js";
export { SettingsError } from "./settings-error.js";
export { exitWithParent, LISTEN_FD, listenFd, notifySocket, OUTER_MOUNTS, outerMounts, SUPERVISED_ENVIRONMENT } from "./supervised.js";
export { type UserSettings, userSettings } from "./user-settings.js";
