import type { StartKind } from "@berth/contracts";
import type { Sandbox } from "./sandbox.js";

/** The right to use a sandbox for one attempt. Whoever holds it calls `release`. */
export interface Lease {
	readonly sandbox: Sandbox;
	readonly start: StartKind;
	/** Milliseconds from asking until the sandbox had its layers; without the module's loading. */
	readonly startMs: number;
	readonly initMs: number;
	/** @param healthy whether it may serve again; @param ran how long the attempt ran and computed, if it began */
	release(healthy: boolean, ran?: { readonly runMs: number; readonly cpuMs: number }): void;
}
