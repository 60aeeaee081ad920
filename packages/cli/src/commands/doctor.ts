import type { Registrar } from "../registrar.js";
export function registerDoctor(_: Registrar): void {}
