/** What Fn did on the machine whose figures the targets are from; ratios to floors carry over, these don't. */
const FN = { warmMs: 0.68, burstMs: 2200, frozenMs: 7.6, onePerSecond: 3312, fourPerSecond: 4850 };

/**
 * The rows of the table of targets.
 * @param {object} measured see scripts/bench.mjs
 * @returns {{what: string, target: string, measured: string, ratio: string, met: boolean | undefined}[]}
 */
export function rowsOf(measured) {
	const { small, medium, large, uncached, floors, misses, never, burst, idle, frozen, redeploy } = measured;
	const { node, crun, runc, docker, express, bullmq } = floors;
	const runtime = crun ?? runc;
	const runtimeName = crun === undefined ? "runc" : "crun";
	const { starts, load } = small;
	const transportMs = bullmq && express ? bullmq.p50Ms + express.p50Ms : undefined;
	// A prewarmed sandbox has touched the web classes before it is asked for; a booted one does so in its first run.
	const webClassesMs = starts.boot.phases.runMs - starts.prewarmed.phases.runMs;
	const bareBootMs = starts.boot.worker.p50Ms - webClassesMs;
	const worker = (report) => report.starts.prewarmed.worker.p50Ms;
	return [
		row("prewarmed start in the worker, 1 KB", "≤ 5 ms", ms(worker(small)), "", worker(small) <= 5),
		row(
			"the same against `docker run … node -e 0`",
			"≤ 1/40",
			docker && ms(docker.p50Ms),
			docker && fraction(worker(small) / docker.p50Ms),
			docker && worker(small) <= docker.p50Ms / 40,
		),
		row("prewarmed start in the worker, 200 KB", "≤ 10 ms", ms(worker(medium)), "", worker(medium) <= 10),
		row("prewarmed start in the worker, 2 MB, with compile cache", "said", ms(worker(large)), ""),
		row("the same without (Node 22, for which there is none)", "said", ms(worker(uncached)), ""),
		row(
			"prewarmed start over HTTP, 1 KB, beyond warm p50",
			"≤ 5 ms",
			ms(starts.prewarmed.p50Ms - starts.warm.p50Ms),
			"",
			starts.prewarmed.p50Ms - starts.warm.p50Ms <= 5,
		),
		row(
			"the same against `node -e 0`",
			"< 1/2",
			ms(starts.prewarmed.p50Ms),
			node && fraction(starts.prewarmed.p50Ms / node.p50Ms),
			node && starts.prewarmed.p50Ms < node.p50Ms / 2,
		),
		row(
			`boot in the worker, web classes apart, against \`${runtimeName} run\``,
			"≤ 1.5 ×",
			ms(bareBootMs),
			runtime && times(bareBootMs / runtime.p50Ms),
			runtime && bareBootMs <= 1.5 * runtime.p50Ms,
		),
		row("the web classes' first touch in a boot", "said", ms(webClassesMs), ""),
		row(
			`sustained cold starts, four at a time, against \`${runtimeName} run\``,
			"≥ 0.7 ×",
			rate(misses.perSecond),
			runtime && times(misses.perSecond / runtime.perSecond),
			runtime && misses.perSecond >= 0.7 * runtime.perSecond,
		),
		row("`reuse: never`, four at a time", "said", rate(never.perSecond), runtime && times(never.perSecond / runtime.perSecond)),
		row("20 simultaneous cold starts, 4 prewarmed", "≤ 500 ms", ms(burst.ms), `Fn ${FN.burstMs} ms`, burst.ms <= 500),
		row(
			"warm over HTTP, one connection, p50, against BullMQ + Express",
			"≤ 1.5 ×",
			ms(load.one.p50Ms),
			transportMs && times(load.one.p50Ms / transportMs),
			transportMs && load.one.p50Ms <= 1.5 * transportMs,
		),
		row("the same against Fn", `≤ ${FN.warmMs} ms`, ms(load.one.p50Ms), times(load.one.p50Ms / FN.warmMs), load.one.p50Ms <= FN.warmMs),
		row(
			"frozen (200 ms idle) over HTTP, beyond warm p50",
			"≤ 1 ms",
			ms(starts.frozen.p50Ms - starts.warm.p50Ms),
			`Fn ${FN.frozenMs} ms in all`,
			starts.frozen.p50Ms - starts.warm.p50Ms <= 1,
		),
		row(
			"warm throughput, 32 connections",
			"≥ 2250/s",
			rate(load.closed.perSecond),
			`Fn ${FN.onePerSecond}–${FN.fourPerSecond}/s`,
			load.closed.perSecond >= 2250,
		),
		row(
			"the same against BullMQ between two processes",
			"≥ 0.4 ×",
			rate(load.closed.perSecond),
			bullmq && times(load.closed.perSecond / bullmq.perSecond),
			bullmq && load.closed.perSecond >= 0.4 * bullmq.perSecond,
		),
		row("PSS of a prewarmed sandbox, 20 side by side", "≤ 18 MB", mib(idle.mib), "", idle.mib <= 18),
		row("PSS of a frozen one after 1,000 fetch invocations", "≤ 25 MB", mib(frozen.mib), "", frozen.mib <= 25),
		row("redeploy, changed, upload → ready", "≤ 150 ms", ms(redeploy.changedMs), "", redeploy.changedMs <= 150),
		row("redeploy, identical", "≤ 30 ms", ms(redeploy.identicalMs), "", redeploy.identicalMs <= 30),
	];
}

/** The rows and the floors as Markdown. */
export function markdownOf(rows, floors) {
	const met = (row) => (row.met === undefined ? "" : row.met ? "yes" : "**no**");
	const lines = rows.map((row) => `| ${row.what} | ${row.target} | ${row.measured} | ${row.ratio} | ${met(row)} |`);
	const beside = Object.entries(floors)
		.filter(([name]) => name !== "skipped")
		.map(([name, floor]) => `| ${name} | ${ms(floor.p50Ms)} | ${rate(floor.perSecond)} |`);
	const skipped = Object.entries(floors.skipped).map(([name, reason]) => `\nFloor ${name}: skipped, ${reason}.`);
	return [
		"| what | target | measured | ratio or peer | met |",
		"| --- | --- | --- | --- | --- |",
		...lines,
		"",
		"| floor | p50 | per second |",
		"| --- | --- | --- |",
		...beside,
		...skipped,
	].join("\n");
}

function row(what, target, measured, ratio, met) {
	return { what, target, measured: measured ?? "not measured", ratio: ratio ?? "", met: typeof met === "boolean" ? met : undefined };
}

function ms(value) {
	return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function mib(value) {
	return `${value.toFixed(1)} MiB`;
}

function rate(value) {
	return `${Math.round(value)}/s`;
}

function times(value) {
	return `${value.toFixed(2)} ×`;
}

function fraction(value) {
	return value < 0.5 ? `1/${(1 / value).toFixed(1)}` : times(value);
}
