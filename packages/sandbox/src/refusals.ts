import { BerthError, FIXED_LIMITS } from "@berth/contracts";
import type { Demand } from "./demand.js";
import { SpecialiseError } from "./specialise-error.js";

/** What whoever waits is told when the pool closes. */
export function closing(): BerthError {
	return new BerthError("worker_lost", "its worker stops; it hadn't begun");
}

/** What ends the wait of whom nobody waits for. */
export function nobodyWaits(): BerthError {
	return new BerthError("cancelled", "nobody waits for it any more: its caller went away, or another worker has it");
}

/** What whoever waits is told whose start budget is over. @param lack what kept one more sandbox from being started; undefined: it was the CPUs */
export function tooLate({ target, serving }: Demand, lack: "memory" | "concurrency" | undefined): BerthError {
	const why = {
		concurrency: `all ${target.manifest.concurrency} that its concurrency allows were at work`,
		memory: "this node had no memory for one more: sandboxes at work hold it",
		cpu: `the CPUs of this node are too busy for more than the ${serving} that it has`,
	}[lack ?? "cpu"];
	return new BerthError("start_timed_out", `no sandbox for ${target.key} could be had within ${FIXED_LIMITS.startMs} ms: ${why}`);
}

/** What whoever waits is told who waits for its own end: the runs that hold what it lacks wait for others, of which it is one. */
export function standsStill(demand: Demand, lacks: "memory" | "concurrency"): BerthError {
	const { key, manifest } = demand.target;
	if (lacks === "memory")
		return new BerthError("node_full", `all memory for sandboxes is held by invocations that wait for others, of which ${key} is one`);
	const detail = `all ${manifest.concurrency} sandboxes that ${key} may have at work are held by invocations that wait for this one; its concurrency would have to be more`;
	return new BerthError("deadlock", detail);
}

/** A start that failed fails the waiter it was for, not all of them. */
export function failStart(demand: Demand, error: Error): void {
	const known = error instanceof SpecialiseError || error instanceof BerthError;
	const told = known ? error : new BerthError("platform_error", `a sandbox couldn't be started: ${error.message}`, { cause: error });
	demand.next()?.reject(told);
}
