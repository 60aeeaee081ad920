import type { Registrar } from "../registrar.js";
export function registerBench(_: Registrar): void {}
