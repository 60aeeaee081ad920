/** What Fn did on the machine whose figures the targets are from; ratios to floors carry over, these don't. */
const FN = { warmMs: 0.68, frozenMs: 7.6, burstMs: 2200, onePerSecond: 3312, fourPerSecond: 4850 };

/** Bytes of the MB that the targets are in, and of the MiB that the kernel counts in. */
const MB = 1e6;
const MIB = 2 ** 20;

/**
 * The table of targets, in its order. `measure` gives what a run says of a row: `measured` and `ratio` as text, and
 * whether the target is `met` (undefined for a figure that is only to be said, or that a missing floor leaves open).
 * @type {readonly {what: string, target: string, measure: (run: object) => {measured: string, ratio?: string, met?: boolean}}[]}
 */
const TARGETS = [
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

/** The rows about functions with dependencies, which follow. */
const DEPENDENCY_TARGETS = [
	{
		what: "first build with 50 MB of dependencies, from a registry on this machine",
		target: "said",
		measure: ({ dependencies }) => said(ms(dependencies.coldMs)),
	},
	{
		what: "another function's first build with the same dependencies",
		target: "said",
		measure: ({ dependencies }) => said(ms(dependencies.cachedMs)),
	},
	{
		what: "redeploy of changed code above 50 MB of dependencies",
		target: "≤ 200 ms",
		measure: ({ dependencies }) => atMost(200, dependencies.largeMs),
	},
	{
		what: "the same against one above 5 MB, in turns",
		target: "≤ 1.2 ×",
		measure: ({ dependencies: { smallMs, largeMs } }) => against(largeMs, "5 MB", smallMs, (ratio) => ratio <= 1.2),
	},
	{
		what: "prewarmed cold start in the worker with a dependency layer of 50 MB, beyond one without, in turns",
		target: "≤ 2 ms",
		measure: ({ dependencies: { withLayerMs, withoutMs } }) => ({
			...atMost(2, withLayerMs - withoutMs),
			ratio: `${ms(withLayerMs)} in all, without ${ms(withoutMs)}`,
		}),
	},
	{
		what: "disk that eight more functions with the same 50 MB take, against the first",
		target: "≤ 0.1 ×",
		measure: ({ dependencies: { oneBytes, moreBytes } }) => share(moreBytes, oneBytes),
	},
	{
		what: "page cache that nine more of them take once each has read all of it, against one copy",
		target: "≤ 0.1 ×",
		measure: ({ dependencies: { readBytes, othersCachedBytes } }) => share(othersCachedBytes, readBytes),
	},
];

/** The rows about a function that is sent ten times what it can do. */
const BACKGROUND_TARGETS = [
	{
		what: "100,000 background invocations of one function waiting: another one's, from accepted to begun, p99",
		target: "≤ 1 s",
		measure: ({ backlog: { begun, jobs, left } }) => ({
			...atMost(1000, begun.p99Ms),
			ratio: `p50 ${ms(begun.p50Ms)}, ${begun.count} of them; ${jobs} waiting, in the end ${left}`,
		}),
	},
	{
		what: "the same: an interactive one's p50 meanwhile, against quiet",
		target: "≤ 1.5 ×",
		measure: ({ backlog: { beside, quiet } }) => against(beside.p50Ms, "quiet", quiet.p50Ms, (ratio) => ratio <= 1.5),
	},
	{
		what: "the same: accepted; run meanwhile",
		target: "said",
		measure: ({ backlog: { acceptedPerSecond, runPerSecond } }) => said(`${rate(acceptedPerSecond)}; ${rate(runPerSecond)}`),
	},
	{
		what: "10,000 functions known, 200 of them active: CPU of dispatcher and Redis per background job, against 200 known",
		target: "≤ 1.1 ×",
		measure: ({ known: { few, many } }) => ({
			measured: `${Math.round(many.cpuUs)} µs, ${rate(many.perSecond)}`,
			ratio: `${(many.cpuUs / few.cpuUs).toFixed(2)} × ${Math.round(few.cpuUs)} µs, ${rate(few.perSecond)}`,
			met: many.cpuUs / few.cpuUs <= 1.1,
		}),
	},
];

const OVERLOAD_TARGETS = [
	{
		what: "10 × the rate that a function of 20 ms of CPU sustains: what is refused, p99",
		target: "≤ 100 ms",
		measure: ({ overload: { refused } }) => ({
			...atMost(100, refused.p99Ms),
			ratio: `p50 ${ms(refused.p50Ms)}, ${refused.count} of them`,
		}),
	},
	{
		what: "the same: what succeeds, against what it sustains while a bare HTTP server beside it refuses as many",
		target: "≥ 0.9 ×",
		measure: ({ overload: { goodput, floor } }) => ofRate(goodput, "beside the floor", floor, (ratio) => ratio >= 0.9),
	},
	{
		what: "the same, against what it sustains when nothing else is sent",
		target: "said",
		measure: ({ overload: { goodput, sustained } }) => said(`${(goodput / sustained).toFixed(2)} × ${rate(sustained)}`),
	},
	{
		what: "as many, sent to 8 functions of a node with 8 places: 503 `node_full`, p99; 429 `too_busy`, p99",
		target: "≤ 100 ms",
		measure: ({ overload: { full } }) => ({
			measured: `${ms(full.node.p99Ms)}; ${ms(full.share.p99Ms)}`,
			ratio: `${full.node.count}; ${full.share.count} of them`,
			met: full.node.count > 0 && Math.max(full.node.p99Ms, full.share.p99Ms) <= 100,
		}),
	},
	{
		what: "the same: what is admitted and doesn't succeed",
		target: "0",
		measure: ({ overload: { failed } }) => ({ measured: String(failed), met: failed === 0 }),
	},
	{
		what: "the same: another function's warm p99 meanwhile, against quiet",
		target: "≤ 2 ×",
		measure: ({ overload: { beside, quiet } }) => ({
			...against(beside.p99Ms, "quiet", quiet.p99Ms, (ratio) => ratio <= 2),
			measured: `${ms(beside.p99Ms)}, p50 ${ms(beside.p50Ms)}, ${beside.failed} failed`,
		}),
	},
	{
		what: "the same: `GET /readyz` meanwhile, p99",
		target: "said",
		measure: ({ overload: { health } }) => said(ms(health.p99Ms)),
	},
	{
		what: "from its end until the function answers as before",
		target: "≤ 10 s",
		measure: ({ overload: { normalMs } }) => atMost(10_000, normalMs),
	},
];

/** The row about functions that invoke one another. */
const INVOKING_TARGETS = [
	{
		what: "`ctx.invoke` of a warm function, as the one that invokes it sees it, p50, against the same over HTTP, in turns",
		target: "≤ 1.5 ×",
		measure: ({ invoking: { insideMs, httpMs } }) => against(insideMs, "over HTTP", httpMs, (ratio) => ratio <= 1.5),
	},
];

/** The rows about streams, and clients that go away. */
const STREAM_TARGETS = [
	{
		what: "streamed answer: time to first byte over HTTP, p50, against a plain answer of the same handler, in turns",
		target: "≤ 1.5 ×",
		measure: ({ streams: { firstByte } }) => against(firstByte.streamedMs, "plain", firstByte.plainMs, (ratio) => ratio <= 1.5),
	},
	{
		what: "6 MiB: an answer that is streamed; a request that is held whole",
		target: "said",
		measure: ({ streams: { six } }) => said(`${ms(six.outMs)}; ${ms(six.inMs)}`),
	},
	{
		what: "an answer of 100 MiB: how much gateway and worker (resident) and sandbox (its cgroup) grow",
		target: "≤ 64 MiB each",
		measure: ({ streams: { large } }) => growth(large.out),
	},
	{
		what: "a request of 100 MiB, the same",
		target: "≤ 64 MiB each",
		measure: ({ streams: { large } }) => growth(large.into),
	},
	rightAfter("throughput right after 2,000 invocations whose clients went away, against right before", "flood"),
	rightAfter("the same of a function that doesn't look at its signal, and ends by itself", "ignoring"),
	rightAfter("the same of one that goes on, and is killed", "goingOn"),
	rightAfter("the same with a concurrency of 1: of one that ends by its signal", "single"),
	rightAfter("the same: of one that ends by itself, after 100 ms", "singleIgnoring"),
	{
		what: "the same: of one that goes on, and is killed when it has had its half second",
		target: "said",
		measure: ({ streams: { singleGoingOn } }) => said(`${singleGoingOn.after.toFixed(0)}/s of ${singleGoingOn.before.toFixed(0)}/s`),
	},
];

/** The row of a flood of clients that go away. */
function rightAfter(what, flood) {
	const measure = ({ streams: { [flood]: seen } }) => ofRate(seen.after, "before", seen.before, (ratio) => ratio >= 0.9);
	return { what, target: "≥ 0.9 ×", measure };
}

function growth({ totalMs, before, most }) {
	const grown = Object.keys(before).map((name) => most[name] - before[name]);
	return {
		measured: `${grown.map((mib) => mib.toFixed(0)).join(", ")} MiB`,
		ratio: `from ${Object.entries(before)
			.map(([name, mib]) => `${name} ${mib.toFixed(0)}`)
			.join(", ")}; ${ms(totalMs)}`,
		met: grown.every((mib) => mib <= 64),
	};
}

/** The row about functions that invoke one another alone. */
export function invokingRowsOf(run) {
	return rowsFrom(INVOKING_TARGETS, run);
}

/** The rows about streams alone. */
export function streamRowsOf(run) {
	return rowsFrom(STREAM_TARGETS, run);
}

/** The rows about background work alone. */
export function backgroundRowsOf(run) {
	return rowsFrom(BACKGROUND_TARGETS, run);
}

/** The rows about overload alone. */
export function overloadRowsOf(run) {
	return rowsFrom(OVERLOAD_TARGETS, run);
}

/** The rows about dependencies alone; without a run every row says how to measure. */
export function dependencyRowsOf(run) {
	return rowsFrom(DEPENDENCY_TARGETS, run);
}

/**
 * The rows of the table of targets.
 * @param {object} [run] what was measured, see scripts/bench.mjs; without it every row says how to measure
 * @returns {{what: string, target: string, measured: string, ratio: string, met: boolean | undefined}[]}
 */
export function rowsOf(run) {
	return rowsFrom(
		[...TARGETS, ...DEPENDENCY_TARGETS, ...OVERLOAD_TARGETS, ...STREAM_TARGETS, ...INVOKING_TARGETS, ...BACKGROUND_TARGETS],
		run,
	);
}

function rowsFrom(targets, run) {
	return targets.map(({ what, target, measure }) => {
		const { measured, ratio = "", met } = run === undefined ? { measured: "(`npm run bench`)" } : measure(run);
		return { what, target, measured, ratio, met: typeof met === "boolean" ? met : undefined };
	});
}

/** The rows as Markdown. */
export function tableOf(rows) {
	const met = (row) => (row.met === undefined ? "" : row.met ? "yes" : "**no**");
	return [
		"| what | target | measured | ratio or peer | met |",
		"| --- | --- | --- | --- | --- |",
		...rows.map((row) => `| ${row.what} | ${row.target} | ${row.measured} | ${row.ratio} | ${met(row)} |`),
	].join("\n");
}

/** The floors of the same run as Markdown. */
export function floorsOf({ skipped, ...floors }) {
	return [
		"| floor | p50 | per second |",
		"| --- | --- | --- |",
		...Object.entries(floors).map(([name, floor]) => `| ${name} | ${ms(floor.p50Ms)} | ${rate(floor.perSecond)} |`),
		...Object.entries(skipped).map(([name, reason]) => `\nFloor ${name}: skipped, ${reason}`),
	].join("\n");
}

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

function said(measured) {
	return { measured };
}

function atMost(target, value) {
	return { measured: ms(value), met: value <= target };
}

/** Bytes that more take, against what one takes. */
function share(bytes, first) {
	const mb = (value) => `${(value / MB).toFixed(1)} MB`;
	return { measured: mb(bytes), ratio: `${(bytes / first).toFixed(2)} × ${mb(first)}`, met: bytes <= first / 10 };
}

function atLeast(target, perSecond) {
	return { measured: rate(perSecond), met: perSecond >= target };
}

function memory(target, { mib }) {
	const mb = (mib * MIB) / MB;
	return { measured: `${mb.toFixed(1)} MB`, ratio: `${mib.toFixed(1)} MiB`, met: mb <= target };
}

/** Milliseconds against a floor's. */
function against(value, name, floorMs, isMet) {
	return compared(ms(value), value, name, floorMs, ms, isMet);
}

/** A rate against a floor's. */
function ofRate(value, name, floor, isMet) {
	return compared(rate(value), value, name, floor, rate, isMet);
}

function againstRuntime(perSecond, floors, isMet) {
	const { name, floor } = runtimeOf(floors);
	return ofRate(perSecond, name, floor?.perSecond, isMet);
}

function compared(measured, value, name, floor, textOf, isMet) {
	if (floor === undefined) return { measured, ratio: `${name} wasn't measured` };
	return { measured, ratio: ratioText(value, floor, name, textOf), met: isMet?.(value / floor) };
}

function againstFn(value, fn, textOf) {
	return ratioText(value, fn, "Fn", textOf);
}

function inAll(start, warm) {
	return `${ms(start.p50Ms)} in all, warm ${ms(warm.p50Ms)}`;
}

function ms(value) {
	return `${value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)} ms`;
}

function rate(value) {
	return `${Math.round(value)}/s`;
}

/** `0.25 × 39.8 ms (node)`, `1/52.1 of 213 ms (docker)` */
function ratioText(value, other, name, textOf) {
	const ratio = value / other;
	return `${ratio < 0.1 ? `1/${(1 / ratio).toFixed(1)} of` : `${ratio.toFixed(2)} ×`} ${textOf(other)} (${name})`;
}
