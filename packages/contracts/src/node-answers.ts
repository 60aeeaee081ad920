import type { CrashLoop, Outcome, StartKind } from "./invocation.js";
import type { WaivableLimit } from "./waivable-limit.js";

/** `GET /v1/sandboxes`: every sandbox of every node. */
export interface SandboxList {
	readonly sandboxes: readonly SandboxInfo[];
	/** Versions that crash again and again, and wait for their next try. */
	readonly failing: readonly FailingVersion[];
}

/** A version that crashes again and again on a node. */
export interface FailingVersion extends CrashLoop {
	readonly node: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
}

export type SandboxState = "booting" | "prewarmed" | "specialising" | "busy" | "warm" | "frozen" | "retiring";

/**
 * Why a sandbox is there that nobody uses. `floor`: it waits for whoever comes. `minimum`: its function has so many always. `pattern`: by when its function
 * was invoked so far. `standard`: as long as every one is kept.
 */
export interface SandboxKept {
	readonly why: "floor" | "minimum" | "pattern" | "standard";
	/** In how long it goes when nobody comes, milliseconds. */
	readonly freeInMs?: number;
}

export interface SandboxInfo {
	readonly id: string;
	readonly node: string;
	readonly state: SandboxState;
	readonly kind: "function" | "build" | "scripts";
	readonly project?: string;
	readonly function?: string;
	readonly version?: number;
	readonly memoryClassMiB: number;
	readonly memoryBytes: number;
	readonly ageMs: number;
	readonly idleMs: number;
	readonly invocations: number;
	/** Absent of one that is at work, comes or goes. */
	readonly kept?: SandboxKept;
}

/** `GET /v1/stats`: totals since the worker's start, and the pool as it is now. */
export interface NodeStats {
	readonly node: string;
	readonly startedAt: string;
	readonly sandboxes: Readonly<Record<SandboxState, number>>;
	readonly invocations: Readonly<Partial<Record<Outcome, number>>>;
	readonly starts: Readonly<Record<StartKind, number>>;
	readonly builds: { readonly started: number; readonly bundled: number; readonly layersReused: number };
	readonly memoryBytes: number;
	readonly memoryBudgetBytes: number;
	readonly waiting: number;
	/** How many versions crash again and again, and wait for their next try. */
	readonly failing: number;
	/** Limits of sandboxes that it can't enforce, which its operator does without (`--insecure-allow`). Absent: none. */
	readonly unenforced?: readonly WaivableLimit[];
}
export interface StatsAnswer {
	readonly nodes: readonly NodeStats[];
}

/** `POST /v1/nodes/commands`: for load tests and people; each node answers when it has done it. */
export type NodeCommand =
	| { readonly kind: "kill"; readonly sandbox: string }
	/** Retires warm sandboxes of a function of the key's project; `project` may say that it is that one. */
	| { readonly kind: "evict"; readonly project?: string; readonly function: string }
	/** Sets the prewarmed floor of every class that has one, waits until it is reached (or emptied). */
	| { readonly kind: "prewarm"; readonly floor: number | "default" };
