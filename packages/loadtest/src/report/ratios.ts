import { rounded } from "../statistics.js";
import type { BenchReport, Floors } from "./report.js";

type Measured = Pick<BenchReport, "starts" | "load"> & { readonly floors: Floors };

/**
 * What we need for something, divided by what the nearest thing without us needs. Those with a missing part are left out:
 *
 * - `prewarmedToWarm`, `frozenToWarm`: a cold, a frozen start against a warm one, end to end
 * - `prewarmedToNode`: a cold start end to end against `node -e 0`
 * - `prewarmedWorkerToDocker`: claim → answer against `docker run … node -e 0`
 * - `bootToCrun`, `bootToRunc`: claim → answer without a prewarmed sandbox against `crun run`, `runc run`
 * - `warmToTransport`: an invocation on one connection, end to end, against BullMQ between two processes and bare Express added up
 * - `throughputToBullmq`, `throughputToExpress`: invocations per second against theirs
 */
export function ratiosOf({ starts, load, floors }: Measured): Readonly<Record<string, number>> {
	const transportMs = floors.bullmq && floors.express ? floors.bullmq.p50Ms + floors.express.p50Ms : undefined;
	const pairs: readonly (readonly [string, number | undefined, number | undefined])[] = [
		["prewarmedToWarm", starts?.prewarmed.p50Ms, starts?.warm.p50Ms],
		["frozenToWarm", starts?.frozen.p50Ms, starts?.warm.p50Ms],
		["prewarmedToNode", starts?.prewarmed.p50Ms, floors.node?.p50Ms],
		["prewarmedWorkerToDocker", starts?.prewarmed.worker.p50Ms, floors.docker?.p50Ms],
		["bootToCrun", starts?.boot.worker.p50Ms, floors.crun?.p50Ms],
		["bootToRunc", starts?.boot.worker.p50Ms, floors.runc?.p50Ms],
		["warmToTransport", load?.one.p50Ms, transportMs],
		["throughputToBullmq", load?.closed.perSecond, floors.bullmq?.perSecond],
		["throughputToExpress", load?.closed.perSecond, floors.express?.perSecond],
	];
	return Object.fromEntries(pairs.flatMap(([name, ours, floor]) => (ours && floor ? [[name, rounded(ours / floor)]] : [])));
}
