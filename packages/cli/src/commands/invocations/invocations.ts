import type { Client } from "@berth/client";
import type { InvocationList, InvocationSummary } from "@berth/contracts";
import { type Command, Option } from "commander";
import { EXIT, type ExitCode } from "../../exit-codes.js";
import { parseCount } from "../../input/sizes.js";
import { hearStops } from "../../interruption.js";
import type { Registrar } from "../../registrar.js";
import { attemptText, invocationsTable, invocationText, waitingText } from "../../render/invocations.js";
import { logText } from "../../render/problem.js";
import type { Session } from "../../session.js";
import { type FilterOptions, queryOf, withFilters } from "./options.js";

const HELP = `
Examples:
  berth invocations --function shop --state running
  berth invocations inspect inv_01m8860h6jgwj1kvk9rcn70njt --attempt 1
  berth invocations cancel inv_01m8860h6jgwj1kvk9rcn70njt
  berth invocations replay inv_01m8860h6jgwj1kvk9rcn70njt --latest
  berth invocations watch inv_01m8860h6jgwj1kvk9rcn70njt`;

const LISTED = 50;
/** Each looks at 2,000 invocations. */
const MOST_PAGES = 20;
const NONE = "There is no such invocation.";
const NONE_SO_FAR = `None of the ${(MOST_PAGES * 2000).toLocaleString("en")} that were looked at, the newest first, is such an invocation.`;

/** `berth invocations list|inspect|cancel|replay|watch` */
export function registerInvocations(registrar: Registrar): void {
	const group = registrar.program
		.command("invocations")
		.description("background work: list, inspect, cancel, replay, watch")
		.configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
		.addHelpText("after", HELP);
	registerList(group, registrar);
	registerInspect(group, registrar);
	registerCancel(group, registrar);
	registerReplay(group, registrar);
	registerWatch(group, registrar);
}

function registerList(group: Command, { action }: Registrar): void {
	withFilters(group.command("list", { isDefault: true }).description("background invocations, newest first"), 200, "how many (default 50)")
		.addOption(new Option("--state <state>", "in this state alone").choices(["queued", "running", "settled"]))
		.option("--cursor <cursor>", "go on where a list ended")
		.action(
			action(async (session: Session, options: FilterOptions) => {
				const { client } = await session.connect();
				const list = await listed(client, options);
				if (session.json) session.terminal.json(list);
				else if (list.invocations.length === 0) session.terminal.note(list.cursor === undefined ? NONE : NONE_SO_FAR);
				else session.terminal.print(invocationsTable(list.invocations, Date.now()));
				if (!session.json) for (const reason of waitingText(list.invocations)) session.terminal.note(reason);
				if (!session.json && list.cursor !== undefined) session.terminal.note(`There may be older ones: --cursor ${list.cursor}`);
				return EXIT.ok;
			}),
		);
}

/** A page is short when few of those that it looks at are meant: it goes on until there are as many as are wanted. */
async function listed(client: Client, options: FilterOptions): Promise<InvocationList> {
	const { state, limit = LISTED } = options;
	const query = { ...queryOf(options), ...(state === undefined ? {} : { state }) };
	const invocations: InvocationSummary[] = [];
	let { cursor } = options;
	for (let page = 0; page < MOST_PAGES && invocations.length < limit; page++) {
		const more = { limit: limit - invocations.length, ...(cursor === undefined ? {} : { cursor }) };
		const list = await client.invocations({ ...query, ...more });
		invocations.push(...list.invocations);
		cursor = list.cursor;
		if (cursor === undefined) return { invocations };
	}
	return { invocations, ...(cursor === undefined ? {} : { cursor }) };
}

function registerInspect(group: Command, { action }: Registrar): void {
	group
		.command("inspect")
		.description("show an invocation: its attempts, its result; or one attempt with its log")
		.argument("<invocation>", "its id: inv_…")
		.option("--attempt <n>", "this attempt, with its log", parseCount(1))
		.action(
			action(async (session: Session, { attempt }: { readonly attempt?: number }, id: string) => {
				const { client } = await session.connect();
				const { terminal, json } = session;
				if (attempt !== undefined) {
					const detail = await client.invocationAttempt(id, attempt);
					if (json) terminal.json(detail);
					else {
						terminal.note(attemptText(detail));
						for (const line of detail.logs) terminal.print(logText(line));
					}
					return EXIT.ok;
				}
				const record = await client.invocation(id);
				if (json) terminal.json(record);
				else {
					terminal.print(invocationText(record));
					if (record.result !== undefined) terminal.print(`\n${JSON.stringify(record.result.json ?? record.result.text ?? record.result)}`);
				}
				return EXIT.ok;
			}),
		);
}

function registerCancel(group: Command, { action }: Registrar): void {
	group
		.command("cancel")
		.description("cancel an invocation: what waits never begins, what runs is told, and killed 5 s later")
		.argument("<invocation>", "its id: inv_…")
		.action(
			action(async (session: Session, _options: object, id: string) => {
				const { client } = await session.connect();
				const after = await client.cancel(id);
				if (session.json) session.terminal.json(after);
				else if (after.state !== "settled") session.terminal.print(`${id} runs, and was told`);
				else if (after.outcome === undefined) session.terminal.print(`${id} is over; how it ended is for keys with the scope read`);
				else session.terminal.print(after.outcome === "cancelled" ? `${id} is cancelled` : `${id} had ended before: ${after.outcome}`);
				return EXIT.ok;
			}),
		);
}

function registerReplay(group: Command, { action }: Registrar): void {
	group
		.command("replay")
		.description("run an invocation's payload once more, as a new one")
		.argument("<invocation>", "its id: inv_…")
		.option("--latest", "with the version that is live now (default: with its own)")
		.action(
			action(async (session: Session, { latest }: { readonly latest?: boolean }, id: string) => {
				const { client } = await session.connect();
				const answer = await client.replay(id, latest === true ? { version: "latest" } : {});
				if (session.json) session.terminal.json(answer);
				else session.terminal.print(answer.id);
				return EXIT.ok;
			}),
		);
}

function registerWatch(group: Command, { action }: Registrar): void {
	group
		.command("watch")
		.description("say what happens to an invocation, until it is settled or Ctrl-C")
		.argument("<invocation>", "its id: inv_…")
		.action(action((session: Session, _options: object, id: string) => watch(session, id)));
}

async function watch(session: Session, id: string): Promise<ExitCode> {
	const { terminal, json } = session;
	const { client } = await session.connect();
	const stopping = new AbortController();
	using _ = hearStops(() => stopping.abort());
	try {
		for await (const event of client.watchInvocation(id, stopping.signal)) {
			if (json) terminal.json(event);
			else if (event.kind === "attempt") terminal.print(attemptText(event));
			else if (event.kind === "waits") terminal.print(event.waitsFor === undefined ? "waits for its turn" : `waits: ${event.waitsFor}`);
			else if (event.kind === "state") terminal.print(event.attempt === undefined ? event.state : `attempt ${event.attempt} began`);
			else terminal.print(`settled: ${event.outcome}${event.dead === true ? ", a dead letter" : ""}`);
			if (event.kind === "end") return event.outcome === "succeeded" ? EXIT.ok : EXIT.failed;
		}
	} catch (error) {
		if (!stopping.signal.aborted) throw error;
	}
	return EXIT.ok;
}
