import { type BenchReport, type LoadFigures, type ProgramFloor, STARTS, type TransportFloor } from "./report.js";

type Line = readonly string[];

const GAP = "  ";

/** The report as tables for a terminal. */
export function reportText(report: BenchReport): string {
	const sections = [header(report), startLines(report), loadLines(report), floorLines(report), ratioLines(report), noteLines(report)];
	return `${sections
		.filter((lines) => lines.length > 0)
		.map((lines) => lines.join("\n"))
		.join("\n\n")}\n`;
}

function header({ target, machine }: BenchReport): readonly string[] {
	return [
		`${target.function} at ${target.url}, ${target.sourceBytes} bytes of source`,
		`${machine.cores} × ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node.slice(1)}`,
	];
}

function startLines({ starts }: BenchReport): readonly string[] {
	if (starts === undefined) return [];
	const lines = STARTS.map((name): Line => {
		const { n, p50Ms, p90Ms, p99Ms, maxMs, worker, phases } = starts[name];
		if (n === 0) return [name, "0", ...Array.from({ length: 9 }, () => "-")];
		const parts = [phases.queueMs, phases.startMs, phases.initMs, phases.runMs].map(ms);
		return [name, String(n), ms(p50Ms), ms(p90Ms), ms(p99Ms), ms(maxMs), ms(worker.p50Ms), ...parts];
	});
	return table([["start, ms", "n", "p50", "p90", "p99", "max", "in worker", "queue", "start", "init", "run"], ...lines]);
}

function loadLines({ load }: BenchReport): readonly string[] {
	if (load === undefined) return [];
	const line = (name: string, { perSecond, p50Ms, p90Ms, p99Ms, maxMs, errors }: LoadFigures): Line => [
		name,
		String(perSecond),
		...[p50Ms, p90Ms, p99Ms, maxMs].map(ms),
		errorText(errors),
	];
	return table([
		["load", "per second", "p50 ms", "p90", "p99", "max", "errors"],
		line("closed loop, 1 connection", load.one),
		line(`closed loop, ${load.closed.connections} connections`, load.closed),
		line(`open loop, ${load.open.ratePerSecond}/s`, load.open),
	]);
}

function floorLines({ floors }: BenchReport): readonly string[] {
	const programs: readonly (readonly [string, ProgramFloor | undefined])[] = [
		["node -e 0", floors.node],
		["crun run … node -e 0", floors.crun],
		["runc run … node -e 0", floors.runc],
		["docker run … node -e 0", floors.docker],
	];
	const transports: readonly (readonly [string, TransportFloor | undefined])[] = [
		["bare Express", floors.express],
		["BullMQ, two processes", floors.bullmq],
	];
	const lines = [...programs, ...transports].flatMap(([name, floor]): readonly Line[] =>
		floor === undefined ? [] : [[name, ms(floor.p50Ms), ms(floor.p99Ms), String(Math.round(floor.perSecond))]],
	);
	return lines.length === 0 ? [] : table([["floor", "p50 ms", "p99", "per second"], ...lines]);
}

/** What each ratio says, for people. */
const RATIOS: Readonly<Record<string, string>> = {
	prewarmedToWarm: "prewarmed start / warm invocation",
	frozenToWarm: "frozen start / warm invocation",
	prewarmedToNode: "prewarmed start / node -e 0",
	prewarmedWorkerToDocker: "prewarmed start in the worker / docker run",
	bootToCrun: "boot in the worker / crun run",
	bootToRunc: "boot in the worker / runc run",
	warmToTransport: "invocation, 1 connection / (BullMQ + Express)",
	throughputToBullmq: "invocations per second / BullMQ's jobs",
	throughputToExpress: "invocations per second / Express's requests",
};

function ratioLines({ ratios }: BenchReport): readonly string[] {
	const lines = Object.entries(ratios).map(
		([name, ratio]): Line => [RATIOS[name] ?? name, ratio < 0.1 ? `1/${Math.round(1 / ratio)}` : ratio.toFixed(2)],
	);
	return lines.length === 0 ? [] : table([["ratio", ""], ...lines]);
}

function noteLines({ target, starts, floors }: BenchReport): readonly string[] {
	const discarded = STARTS.flatMap((name) =>
		Object.entries(starts?.[name].discarded ?? {}).map(([kind, count]) => `${count} "${name}" starts were ${kind} and don't count`),
	);
	const skipped = Object.entries(floors.skipped).map(([name, reason]) => `floor ${name}: skipped, ${reason}`);
	const same =
		starts !== undefined && target.distinctBy === "environment"
			? ["the versions of the cold starts differ by a variable of the environment and share a code layer"]
			: [];
	const rest = starts === undefined ? [] : [`frozen: warm, after ${starts.idleMs} ms of rest`];
	return [...rest, ...same, ...discarded, ...skipped].map((note) => `· ${note}`);
}

function errorText(errors: LoadFigures["errors"]): string {
	const parts = Object.entries(errors).map(([ending, count]) => `${count} ${ending}`);
	return parts.length === 0 ? "none" : parts.join(", ");
}

/** Milliseconds with as many digits as matter. */
function ms(value: number): string {
	return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** The first column to the left, the others to the right; words in the last one to the left too. */
function table(lines: readonly Line[]): readonly string[] {
	const columns = Math.max(...lines.map((line) => line.length));
	const widths = Array.from({ length: columns }, (_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
	const isText = (column: number) => column === 0 || lines.slice(1).every((line) => /^[a-z]|^\d+ [a-z]/.test(line[column] ?? ""));
	return lines.map((line) =>
		line
			.map((cell, column) => (isText(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number)))
			.join(GAP)
			.trimEnd(),
	);
}
