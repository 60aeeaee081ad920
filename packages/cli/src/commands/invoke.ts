import { type Client, CutError, type InvokeAnswer, type InvokeOptions, type Payload, parseServerTiming, resultOf } from "@berth/client";
import { type InvocationAnswer, type Problem, SECOND_MS } from "@berth/contracts";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { parseDurationMs, parseTime } from "../input/durations.js";
import { payloadOf } from "../input/payload.js";
import type { Registrar } from "../registrar.js";
import { problemText } from "../render/problem.js";
import type { Session } from "../session.js";

interface InvokeCommandOptions {
	readonly payload?: string;
	readonly contentType?: string;
	readonly async?: boolean;
	readonly wait?: boolean;
	readonly timeout?: number;
	readonly callback?: string;
	readonly at?: Date;
	readonly idempotencyKey?: string;
	readonly include?: boolean;
}

/** How long the record of a failed invocation is waited for: it only adds to what is known already. */
const RECORD_MS = 2 * SECOND_MS;

/** `berth invoke <name>` */
export function registerInvoke({ program, stdin, action }: Registrar): void {
	program
		.command("invoke")
		.description("invoke a function and print its result")
		.argument("<name>", "function, name@alias or name@version")
		.option("-d, --payload <payload>", "what it is given: the text itself, @file, or - for stdin")
		.option("--content-type <type>", "type of the payload (default: JSON if it is JSON, else text)")
		.option("--async", "queue it in the background and print its id")
		.option("--wait", "with --async: wait for its end, and print its result")
		.option("--timeout <duration>", "a deadline shorter than the function's own: 500ms, 30s", parseDurationMs)
		.option("--callback <url>", "with --async: where its settlement is posted, signed")
		.option("--at <time>", "with --async: not before then: 2026-12-24T18:00:00Z, or a duration from now (30s, 2h)", parseTime)
		.option("--idempotency-key <key>", "run it once, however often it is sent with this key")
		.option("-i, --include", "say status, Server-Timing and id on stderr")
		.addHelpText(
			"after",
			'\nExamples:\n  berth invoke hello -d \'{"name":"Ada"}\'\n  berth invoke hello@canary\n  cat order.json | berth invoke shop -d - --timeout 2s',
		)
		.action(
			action(async (session: Session, options: InvokeCommandOptions, name: string) => {
				requireAsync(options);
				const payload = await payloadOf(options.payload, options.contentType, stdin);
				const { client } = await session.connect();
				const limits = {
					...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
					...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
					...(options.callback === undefined ? {} : { callbackUrl: options.callback }),
					...(options.at === undefined ? {} : { runAt: options.at }),
				};
				return options.async === true
					? enqueue(session, client, name, payload, limits, options.wait === true)
					: invoke(session, client, name, payload, limits, options);
			}),
		);
}

/** @throws CommandFailure when something is asked for that only background work has */
function requireAsync({ async: isAsync, wait, at, callback }: InvokeCommandOptions): void {
	if (isAsync === true) return;
	const asked = [
		...(wait === true ? ["--wait"] : []),
		...(at === undefined ? [] : ["--at"]),
		...(callback === undefined ? [] : ["--callback"]),
	];
	if (asked.length > 0)
		throw new CommandFailure(EXIT.usage, `${asked.join(" and ")} ${asked.length > 1 ? "go" : "goes"} with --async: add it`);
}

async function enqueue(
	session: Session,
	client: Client,
	name: string,
	payload: Payload | undefined,
	limits: InvokeOptions,
	waits: boolean,
): Promise<ExitCode> {
	const accepted = await client.invokeAsync(name, payload, limits);
	if (waits) return await waitFor(session, client, accepted.id);
	if (session.json) session.terminal.json(accepted);
	else {
		session.terminal.print(accepted.id);
		const later = accepted.runAt === undefined ? "" : ` for ${accepted.runAt}`;
		session.terminal.note(`It is ${accepted.state}${later}; \`${session.berth} invocations watch ${accepted.id}\` says how it goes.`);
	}
	return EXIT.ok;
}

/** As if it had been waited for from the beginning; the id is said first, for who interrupts. */
async function waitFor(session: Session, client: Client, id: string): Promise<ExitCode> {
	const { terminal } = session;
	if (!session.json) terminal.note(terminal.style("dim", `invocation ${id}`));
	const record = await client.settled(id);
	if (session.json) terminal.json(record);
	else if (record.outcome === "succeeded") printRecorded(session, record);
	else {
		const why = record.error === undefined ? "" : `: ${record.error.name}: ${record.error.message}`;
		terminal.note(`${terminal.style("red", record.outcome ?? "error")} after ${record.attemptCount} attempts${why}`);
	}
	return record.outcome === "succeeded" ? EXIT.ok : EXIT.failed;
}

function printRecorded({ terminal }: Session, { result, removed }: InvocationAnswer): void {
	if (removed?.includes("result")) terminal.note("Its result was removed to make room for newer ones (BERTH_RESULTS_MIB).");
	else if (result?.base64 !== undefined) terminal.write(Buffer.from(result.base64, "base64"));
	else if (result?.text !== undefined) terminal.print(result.text);
	else if (result?.json !== undefined) terminal.print(JSON.stringify(result.json));
}

async function invoke(
	session: Session,
	client: Client,
	name: string,
	payload: Payload | undefined,
	limits: InvokeOptions,
	options: InvokeCommandOptions,
): Promise<ExitCode> {
	const { terminal } = session;
	const pieces = session.json ? {} : { onPiece: (piece: Uint8Array) => terminal.pour(piece) };
	const answer = await client.invoke(name, payload, { ...limits, ...pieces }).catch((error: unknown) => cutOff(session, client, error));
	if (answer === undefined) return EXIT.failed;
	if (session.json) terminal.json(documentOf(answer));
	else {
		if (options.include === true || session.verbose) describeAnswer(session, answer);
		if (answer.problem === undefined) printResult(session, answer);
		else {
			const context = await contextOf(client, answer.id, answer.problem);
			terminal.note(problemText(answer.problem, terminal, { ...context, verbose: session.verbose }));
			terminal.note(terminal.style("dim", `invocation ${answer.id}`));
		}
	}
	return answer.outcome === "succeeded" ? EXIT.ok : EXIT.failed;
}

/** What became of an invocation whose answer broke off. @throws what isn't that, and where there is no record of it */
async function cutOff({ terminal, json }: Session, client: Client, error: unknown): Promise<undefined> {
	if (!(error instanceof CutError)) throw error;
	const record = await client.invocation(error.invocationId, { signal: AbortSignal.timeout(RECORD_MS) }).catch(() => undefined);
	if (record === undefined) throw error;
	const { id, outcome, code, error: thrown } = record;
	if (json) terminal.json({ id, outcome, code, error: thrown, detail: error.message });
	else {
		const why = thrown === undefined ? "" : `: ${thrown.name}: ${thrown.message}`;
		terminal.note(`\n${terminal.style("red", outcome ?? "error")}: the answer broke off${why}`);
		terminal.note(terminal.style("dim", `invocation ${id}`));
	}
	return undefined;
}

function documentOf(answer: InvokeAnswer): unknown {
	const { id, outcome, problem, raw } = answer;
	const serverTiming = parseServerTiming(textOf(raw.headers["server-timing"]));
	return {
		id,
		outcome,
		status: raw.status,
		serverTiming,
		totalMs: raw.timing.totalMs,
		...(problem === undefined ? { result: resultOf(answer) } : { problem }),
	};
}

function describeAnswer({ terminal }: Session, { id, outcome, raw }: InvokeAnswer): void {
	terminal.note(`${raw.status} ${outcome}`);
	terminal.note(`berth-invocation-id: ${id}`);
	terminal.note(`server-timing: ${textOf(raw.headers["server-timing"]) ?? "-"}`);
}

/** The body as it is; on a terminal it is text, and ends its line. */
function printResult({ terminal }: Session, { raw }: InvokeAnswer): void {
	if (!terminal.interactive) terminal.write(raw.body);
	else if (raw.body.length > 0) terminal.print(raw.body.toString().replace(/\n$/, ""));
}

/** What the record adds to a problem: the error with its stack, the log. Without it the problem stands alone. */
async function contextOf(client: Client, id: string, problem: Problem): Promise<Pick<InvocationAnswer, "error" | "logs"> | undefined> {
	try {
		return await client.invocation(id, { signal: AbortSignal.timeout(RECORD_MS) });
	} catch {
		return isLogged(problem) ? { logs: problem.logs } : undefined;
	}
}

function isLogged(problem: Problem): problem is Problem & { logs: InvocationAnswer["logs"] } {
	return Array.isArray(problem["logs"]);
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
	return typeof value === "string" ? value : value?.join(", ");
}
