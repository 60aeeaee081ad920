import { against, atLeast, atMost, memory, ms, ofRate, rate, ratioText, said } from "./figures.mjs";

/** What Fn did on the machine whose figures the targets are from; ratios to floors carry over, these don't. */
const FN = { warmMs: 0.68, frozenMs: 7.6, burstMs: 2200, onePerSecond: 3312, fourPerSecond: 4850 };

/** The rows about starts, warm invocations, memory and redeploys. */
export const STARTS = [
	{
		what: "prewarmed cold start, claim → first answer, in the worker, 1 KB",
		target: "≤ 5 ms",
		measure: ({ small }) => atMost(5, inWorker(small)),
	},
	{
		what: "the same against `docker run` of the same Node",
		target: "≤ 1/40",
		measure: ({ small, floors }) => against(inWorker(small), "docker", floors.docker?.p50Ms, (ratio) => ratio <= 1 / 40),
	},
	{ what: "the same, 200 KB", target: "≤ 10 ms", measure: ({ medium }) => atMost(10, inWorker(medium)) },
	{ what: "the same, 2 MB, with compile cache", target: "said", measure: ({ large }) => said(ms(inWorker(large))) },
	{
		what: "the same, 2 MB, without (Node 22, for which there is none)",
		target: "said",
		measure: ({ uncached }) => said(ms(inWorker(uncached))),
	},
	{
		what: "the same, 1 KB, with `network: internet`, beyond one without",
		target: "≤ 2 ms",
		measure: ({ small, internet }) => ({
			...atMost(2, inWorker(internet) - inWorker(small)),
			ratio: `${ms(inWorker(internet))} in all, ${ms(inWorker(small))} without`,
		}),
	},
	{
		what: "prewarmed cold start in the worker with a volume, beyond one without, in turns",
		target: "≤ 1 ms",
		measure: ({ volumes: { withMs, withoutMs } }) => ({
			...atMost(1, withMs - withoutMs),
			ratio: `${ms(withMs)} in all, without ${ms(withoutMs)}`,
		}),
	},
	{
		what: "the first start of all with that volume, which mounts it; making one of 64 MiB, over HTTP",
		target: "said",
		measure: ({ volumes: { firstMs, makeMs } }) => said(`${ms(firstMs)}; ${ms(makeMs)}`),
	},
	{
		what: "prewarmed cold start over HTTP, 1 KB, beyond warm p50",
		target: "≤ 5 ms",
		measure: ({ small: { starts } }) => ({
			...atMost(5, starts.prewarmed.p50Ms - starts.warm.p50Ms),
			ratio: inAll(starts.prewarmed, starts.warm),
		}),
	},
	{
		what: "the same in all, against one bare `node -e 0`",
		target: "< 1/2",
		measure: ({ small, floors }) => against(small.starts.prewarmed.p50Ms, "node", floors.node?.p50Ms, (ratio) => ratio < 1 / 2),
	},
	{
		what: "cold start with no prewarmed sandbox left, web classes apart, against `crun run node -e 0`",
		target: "≤ 1.5 ×",
		measure: ({ small, floors }) => {
			const { name, floor } = runtimeOf(floors);
			return against(small.starts.boot.worker.p50Ms - webClassesMs(small), name, floor?.p50Ms, (ratio) => ratio <= 1.5);
		},
	},
	{ what: "the web classes' first touch in it", target: "said", measure: ({ small }) => said(ms(webClassesMs(small))) },
	{
		what: "sustained cold starts, everything a miss, four at a time, against what `crun run node -e 0` sustains",
		target: "≥ 0.7 ×",
		measure: ({ misses, floors }) => againstRuntime(misses.perSecond, floors, (ratio) => ratio >= 0.7),
	},
	{ what: "`reuse: never`, four at a time", target: "said", measure: ({ never, floors }) => againstRuntime(never.perSecond, floors) },
	{
		what: "20 simultaneous cold starts with 4 prewarmed, all answered",
		target: "≤ 0.5 s",
		measure: ({ burst }) => ({ ...atMost(500, burst.ms), ratio: againstFn(burst.ms, FN.burstMs, ms) }),
	},
	{
		what: "warm invocation end to end, p50, against two-process BullMQ + bare Express",
		target: "≤ 1.5 ×",
		measure: ({ small, floors }) => against(warmMs(small), "BullMQ + Express", transportMs(floors), (ratio) => ratio <= 1.5),
	},
	{
		what: "the same against Fn, which has no queue",
		target: `≤ ${FN.warmMs} ms`,
		measure: ({ small }) => ({ ...atMost(FN.warmMs, warmMs(small)), ratio: againstFn(warmMs(small), FN.warmMs, ms) }),
	},
	{
		what: "warm after 200 ms idle (frozen), beyond warm p50",
		target: "≤ 1 ms",
		measure: ({ small: { starts } }) => ({
			...atMost(1, starts.frozen.p50Ms - starts.warm.p50Ms),
			ratio: `${inAll(starts.frozen, starts.warm)}; Fn ${FN.frozenMs} ms in all`,
		}),
	},
	{
		what: "warm throughput through BullMQ, 32 connections, everything on 2 cores",
		target: "≥ 2,250/s",
		measure: (run) => atLeast(2250, throughput(run)),
	},
	{
		what: "the same against two-process BullMQ",
		target: "≥ 40 %",
		measure: (run) => ofRate(throughput(run), "BullMQ", run.floors.bullmq?.perSecond, (ratio) => ratio >= 0.4),
	},
	{
		what: "the same, past Fn with one container",
		target: "> 3,312/s",
		measure: (run) => ({ ...atLeast(FN.onePerSecond, throughput(run)), ratio: againstFn(throughput(run), FN.onePerSecond, rate) }),
	},
	{
		what: "the same, past Fn with four",
		target: "> 4,850/s",
		measure: (run) => ({ ...atLeast(FN.fourPerSecond, throughput(run)), ratio: againstFn(throughput(run), FN.fourPerSecond, rate) }),
	},
	{
		what: "memory of a prewarmed idle sandbox, web classes loaded (PSS, 20 side by side)",
		target: "≤ 18 MB",
		measure: ({ idle }) => memory(18, idle),
	},
	{
		what: "memory of a frozen one after 1,000 fetch invocations (PSS, 20 side by side)",
		target: "≤ 25 MB",
		measure: ({ frozen }) => memory(25, frozen),
	},
	{ what: "redeploy of changed code, upload → ready", target: "≤ 150 ms", measure: ({ redeploy }) => atMost(150, redeploy.changedMs) },
	{ what: "identical redeploy", target: "≤ 30 ms", measure: ({ redeploy }) => atMost(30, redeploy.identicalMs) },
	{
		what: "Python: prewarmed cold start, claim → first answer, in the worker, 1 KB",
		target: "said",
		measure: ({ python }) => said(ms(inWorker(python))),
	},
	{
		what: "Python: the same over HTTP",
		target: "said",
		measure: ({ python: { starts } }) => ({ ...said(ms(starts.prewarmed.p50Ms)), ratio: `warm ${ms(starts.warm.p50Ms)}` }),
	},
	{
		what: "Python: cold start with no prewarmed sandbox left, in the worker",
		target: "said",
		measure: ({ python: { starts } }) => said(ms(starts.boot.worker.p50Ms)),
	},
	{
		what: "Python: memory of a frozen one after 1,000 invocations (PSS, 20 side by side)",
		target: "said",
		measure: ({ pythonFrozen: { mib } }) => ({ ...said(`${((mib * MIB) / MB).toFixed(1)} MB`), ratio: `${mib.toFixed(1)} MiB` }),
	},
];

function inWorker(report) {
	return report.starts.prewarmed.worker.p50Ms;
}

/** A prewarmed sandbox has touched the web classes before it is asked for; a booted one does so in its first run. */
function webClassesMs({ starts }) {
	return starts.boot.phases.runMs - starts.prewarmed.phases.runMs;
}

function warmMs({ load }) {
	return load.one.p50Ms;
}

function throughput({ small }) {
	return small.load.closed.perSecond;
}

function transportMs({ bullmq, express }) {
	return bullmq && express ? bullmq.p50Ms + express.p50Ms : undefined;
}

function runtimeOf({ crun, runc }) {
	return crun === undefined ? { name: "runc", floor: runc } : { name: "crun", floor: crun };
}

function againstRuntime(perSecond, floors, isMet) {
	const { name, floor } = runtimeOf(floors);
	return ofRate(perSecond, name, floor?.perSecond, isMet);
}

function againstFn(value, fn, textOf) {
	return ratioText(value, fn, "Fn", textOf);
}

function inAll(start, warm) {
	return `${ms(start.p50Ms)} in all, warm ${ms(warm.p50Ms)}`;
}
