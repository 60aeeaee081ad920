export { createApp } from "./app.js";
export type { Services } from "./services.js";
