import type { StartKind } from "@berth/contracts";
import type { Crash } from "./crash-loops.js";
import type { Sandbox } from "./sandbox.js";
import type { SandboxResult } from "./sandbox-result.js";

/** How an attempt went. */
export interface Ran {
	readonly runMs: number;
	readonly cpuMs: number;
	/** Whether its function answered, or its sandbox ended before that; undefined: neither, as it was cut short. */
	readonly end?: "answered" | Crash;
}

/** @param wasKilled whether its sandbox's end was our doing */
export function ranOf({ runMs, usage: { cpuMs }, outcome, error }: SandboxResult, invocation: string, wasKilled: boolean): Ran {
	if (outcome === "timed_out" || wasKilled) return { runMs, cpuMs };
	const isCrash = outcome === "crashed" || outcome === "out_of_memory";
	return { runMs, cpuMs, end: isCrash ? { outcome, error: error?.message ?? outcome, invocation } : "answered" };
}

/** The right to use a sandbox for one attempt. Whoever holds it calls `release`, `abandon` before it or not. */
export interface Lease {
	readonly sandbox: Sandbox;
	readonly start: StartKind;
	/** Milliseconds from asking until the sandbox had its layers; without the module's loading. */
	readonly startMs: number;
	readonly initMs: number;
	/** Nobody waits for the attempt any more, and its function was told: it is killed if it goes on beyond its grace. */
	abandon(): void;
	/** @param healthy whether it may serve again; @param ran how the attempt went, if it began */
	release(healthy: boolean, ran?: Ran): void;
}

/** A build's: it is over when its builder says so. */
export type BuildLease = Omit<Lease, "abandon">;
