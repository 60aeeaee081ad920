import type { StartKind } from "@berth/contracts";
import type { Sandbox } from "./sandbox.js";

/** The right to use a sandbox for one attempt. Whoever holds it calls `release`, `abandon` before it or not. */
export interface Lease {
	readonly sandbox: Sandbox;
	readonly start: StartKind;
	/** Milliseconds from asking until the sandbox had its layers; without the module's loading. */
	readonly startMs: number;
	readonly initMs: number;
	/** Nobody waits for the attempt any more, and its function was told: it is killed if it goes on beyond its grace. */
	abandon(): void;
	/** @param healthy whether it may serve again; @param ran how long the attempt ran and computed, if it began */
	release(healthy: boolean, ran?: { readonly runMs: number; readonly cpuMs: number }): void;
}

/** A build's: it is over when its builder says so. */
export type BuildLease = Omit<Lease, "abandon">;
