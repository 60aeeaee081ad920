import { access, constants, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type BenchOptions, type BenchReport, type FloorName, PRESETS, reportHtml, reportText, runBench } from "@berth/loadtest";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { benchSubject } from "../input/bench-subject.js";
import { parseDurationMs } from "../input/durations.js";
import { parseFloors } from "../input/floors.js";
import { jsonPayloadOf } from "../input/payload.js";
import { parseCount } from "../input/sizes.js";
import { Interruption } from "../interruption.js";
import type { Registrar } from "../registrar.js";
import { benchProgress } from "../render/bench-progress.js";
import type { Session } from "../session.js";
import { fileFault } from "../system-errors.js";

interface BenchCommandOptions {
	readonly quick?: boolean;
	readonly starts?: number;
	readonly rate?: number;
	readonly connections?: number;
	readonly duration?: number;
	readonly load: boolean;
	readonly idle?: number;
	readonly payload?: string;
	readonly floors?: readonly FloorName[];
	readonly html?: string;
}

const PAYLOAD = { name: "bench" };
const MS = 1000;

const HELP = `
Every cold start is of a version of its own, with the pool refilled before it
(or emptied, for a boot); its kind is read from the invocation's record. What is
measured is a copy named bench-…, which is removed in the end: a deployed
function, its versions and its sandboxes are left alone. Something that looks
like a function's name is one; a file of such a name is written ./name.

Examples:
  berth bench --quick
  berth bench hello -d '{"name":"Ada"}' --html bench.html
  berth bench ./shop.ts --starts 50 --rate 500 --duration 30s --floors crun
  berth bench hello --json | jq .starts.prewarmed.p50Ms`;

/** `berth bench [function|path]` */
export function registerBench({ program, stdin, action }: Registrar): void {
	const { full } = PRESETS;
	program
		.command("bench")
		.description("measure cold starts against warm ones, load, and what the machine can do without Berth")
		.argument("[function|path]", "a deployed function, or a source file or directory (default: a small hello)")
		.option("--quick", "some seconds, for a first look")
		.option("--starts <n>", `cold starts of each kind; 0: none (default: ${full.starts})`, parseCount(0))
		.option("--rate <n>", "invocations per second of the open loop (default: half of what the closed loop reaches)", parseCount(1))
		.option("--connections <n>", `connections of the closed loop (default: ${full.load.connections})`, parseCount(1))
		.option("--duration <duration>", `how long each load lasts (default: ${full.load.seconds}s)`, parseDurationMs)
		.option("--no-load", "starts only")
		.option("--idle <duration>", `rest before a frozen start (default: ${full.idleMs}ms)`, parseDurationMs)
		.option("-d, --payload <json>", `what it is given: JSON, @file, or - for stdin (default: ${JSON.stringify(PAYLOAD)})`)
		.option("--floors <list>", `floors to measure: ${full.floors.join(",")}, all or none`, parseFloors)
		.option("--html <file>", "write a page with charts, too")
		.addHelpText("after", HELP)
		.action(action((session: Session, options: BenchCommandOptions, what?: string) => bench(session, options, what, stdin)));
}

async function bench(
	session: Session,
	options: BenchCommandOptions,
	what: string | undefined,
	stdin: NodeJS.ReadableStream,
): Promise<ExitCode> {
	const { terminal } = session;
	const subject = await benchSubject(what);
	const payload = options.payload === undefined ? PAYLOAD : await jsonPayloadOf(options.payload, stdin);
	const target = await session.target();
	// What can't be written is found out before minutes are spent.
	if (options.html !== undefined) await checkPlace(options.html);
	using interruption = new Interruption("interrupted; what was deployed for the bench is removed", () => terminal.note("stopping …"));
	try {
		const measured = { ...presetOf(options), ...target, subject, payload, signal: interruption.signal };
		await show(session, await runBench(measured, benchProgress(terminal)), options.html);
	} finally {
		terminal.clearStatus();
	}
	return EXIT.ok;
}

/** The preset with what the command line says in place of it. */
function presetOf(options: BenchCommandOptions): Omit<BenchOptions, "url" | "key" | "subject" | "payload"> {
	const preset = options.quick === true ? PRESETS.quick : PRESETS.full;
	const load = {
		seconds: options.duration === undefined ? preset.load.seconds : options.duration / MS,
		connections: options.connections ?? preset.load.connections,
		...(options.rate === undefined ? {} : { ratePerSecond: options.rate }),
	};
	return {
		...preset,
		starts: options.starts ?? preset.starts,
		idleMs: options.idle ?? preset.idleMs,
		floors: options.floors ?? preset.floors,
		load: options.load ? load : undefined,
	};
}

async function show({ terminal, json }: Session, report: BenchReport, html: string | undefined): Promise<void> {
	terminal.clearStatus();
	if (html !== undefined) await writePage(html, reportHtml(report));
	if (json) terminal.json(report);
	else terminal.write(reportText(report));
	if (html !== undefined) terminal.note(`The page is in ${html}`);
}

async function checkPlace(path: string): Promise<void> {
	try {
		await access(dirname(resolve(path)), constants.W_OK);
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `--html ${path}: ${fileFault(error)}`);
	}
}

async function writePage(path: string, page: string): Promise<void> {
	try {
		await writeFile(path, page);
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `--html ${path}: ${fileFault(error)}`);
	}
}
