import type { Asked, Done, History, Recorded, Witnessed } from "./history.js";

/**
 * How long after something was done to a machine or a server it may still be why an invocation is lost: its lease ends after 10 s, and TCP, which has waited
 * longer from one try to the next while a machine was cut off, sends again what was lost.
 */
const AFTER_MS = 15_000;

/**
 * Who waits is told `worker_lost` only where something was done to what had the invocation in hand: the fast Redis, the gateway that was asked, and the
 * machine that it began on, or, where it began on none, any that has a worker.
 */
export function unexplainedLoss({ lane, told, waited }: Asked, seen: readonly Witnessed[], { done }: History): readonly string[] {
	if (done === undefined || waited === undefined || lane !== "interactive" || !("code" in told) || told.code !== "worker_lost") return [];
	const machine = seen.find(({ what }) => what === "began")?.machine;
	const hadIt = ({ to }: Done) => to === "fast" || to === waited.at || (machine === undefined ? to.startsWith("worker-") : to === machine);
	if (done.some((each) => hadIt(each) && isDuring(each, waited))) return [];
	return [`it was lost at ${machine ?? "no machine"}, and nothing was done to that, to ${waited.at} or to the fast Redis`];
}

/** The same of what is given up in the background, whose end nobody heard: since it was asked for. */
export function unexplainedEnd({ lane, waited }: Asked, record: Recorded | undefined, { done }: History): readonly string[] {
	if (done === undefined || waited === undefined || lane !== "background" || record?.code !== "worker_lost") return [];
	const hadIt = ({ to }: Done) => !to.startsWith("gateway-");
	const since = { ...waited, untilMs: Number.POSITIVE_INFINITY };
	return done.some((each) => hadIt(each) && isDuring(each, since))
		? []
		: ["it was given up as lost, and nothing was done to any worker or Redis"];
}

function isDuring(done: Done, { fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number }): boolean {
	return done.fromMs <= untilMs && done.untilMs + AFTER_MS >= fromMs;
}
