import type { Client, DeadLetterQuery } from "@berth/client";
import type { DeadLettersReplayed } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../../exit-codes.js";
import type { Registrar } from "../../registrar.js";
import { invocationsTable } from "../../render/invocations.js";
import type { Session } from "../../session.js";
import { type FilterOptions, queryOf, withFilters } from "./options.js";

/** `berth dead-letters list|replay|purge` */
export function registerDeadLetters(registrar: Registrar): void {
	const group = registrar.program
		.command("dead-letters")
		.description("background work that was given up: list, replay, purge")
		.configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
		.addHelpText(
			"after",
			"\nExamples:\n  berth dead-letters --function shop\n  berth dead-letters replay --function shop --latest\n  berth dead-letters purge inv_01m8860h6jgwj1kvk9rcn70njt",
		);
	registerList(group, registrar);
	registerReplay(group, registrar);
	registerPurge(group, registrar);
}

function registerList(group: Command, { action }: Registrar): void {
	withFilters(group.command("list", { isDefault: true }).description("dead letters, newest first"), 200, "how many (default 50)")
		.option("--cursor <cursor>", "go on where a list ended")
		.action(
			action(async (session: Session, options: FilterOptions) => {
				const { client } = await session.connect();
				const list = await client.invocations({ ...queryOf(options), dead: true });
				if (session.json) session.terminal.json(list);
				else if (list.invocations.length === 0) session.terminal.note("There are no dead letters.");
				else session.terminal.print(invocationsTable(list.invocations, Date.now()));
				if (!session.json && list.cursor !== undefined) session.terminal.note(`There may be older ones: --cursor ${list.cursor}`);
				return EXIT.ok;
			}),
		);
}

function registerReplay(group: Command, { action }: Registrar): void {
	withFilters(
		group
			.command("replay")
			.description("replay one, or all that the options name: they are no dead letters any more then")
			.argument("[invocation]", "its id: inv_…")
			.option("--all", "all of the project")
			.option("--latest", "with the version that is live now (default: with their own)"),
		100,
		"of one request (default 100)",
	).action(
		action(async (session: Session, options: ManyOptions & { readonly latest?: boolean }, id: string | undefined) => {
			const { client } = await session.connect();
			const { latest, ...rest } = options;
			const version = latest === true ? ({ version: "latest" } as const) : {};
			if (id !== undefined) {
				const one = await client.replay(id, version);
				if (session.json) session.terminal.json(one);
				else session.terminal.print(one.id);
				return EXIT.ok;
			}
			const done = await replayAll(session, client, { ...manyFrom(rest), ...version });
			if (session.json) session.terminal.json(done);
			else {
				for (const { id: letter, reason } of done.skipped) session.terminal.note(`${letter} stays: ${reason}`);
				session.terminal.print(`${done.replayed.length} replayed, ${done.skipped.length} skipped`);
			}
			return done.skipped.length > 0 ? EXIT.failed : EXIT.ok;
		}),
	);
}

function registerPurge(group: Command, { action }: Registrar): void {
	withFilters(
		group
			.command("purge")
			.description("remove one, or all that the options name, with their records")
			.argument("[invocation]", "its id: inv_…")
			.option("--all", "all of the project"),
		1000,
		"of one request (default 1000)",
	).action(
		action(async (session: Session, options: ManyOptions, id: string | undefined) => {
			const { client } = await session.connect();
			let purged = 0;
			if (id !== undefined) {
				await client.purgeDeadLetter(id);
				purged = 1;
			} else {
				const query = manyFrom(options);
				for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
					const page = await client.purgeDeadLetters({ ...query, ...(cursor === undefined ? {} : { cursor }) });
					purged += page.purged;
					cursor = page.cursor;
					if (cursor !== undefined) session.terminal.status(`${purged} removed`);
				}
			}
			if (session.json) session.terminal.json({ purged });
			else session.terminal.print(`${purged} removed`);
			return EXIT.ok;
		}),
	);
}

interface ManyOptions extends FilterOptions {
	readonly all?: boolean;
}

/** All of a project aren't meant by an option that was left out. @throws CommandFailure */
function manyFrom({ all, ...options }: ManyOptions): DeadLetterQuery {
	const query = queryOf(options);
	const { limit: _, ...filters } = query;
	const isFiltered = Object.keys(filters).length > 0;
	if (all === true && isFiltered)
		throw new CommandFailure(
			EXIT.usage,
			`--all is all of the project, and --${Object.keys(filters).join(", --")} some of it: leave out what isn't meant`,
		);
	if (all === true || isFiltered) return query;
	throw new CommandFailure(EXIT.usage, "an invocation is wanted, or --function, --outcome, --since, or --all");
}

async function replayAll(
	session: Session,
	client: Client,
	query: Parameters<Client["replayDeadLetters"]>[0],
): Promise<DeadLettersReplayed> {
	const [replayed, skipped]: [DeadLettersReplayed["replayed"][number][], DeadLettersReplayed["skipped"][number][]] = [[], []];
	for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
		const page = await client.replayDeadLetters({ ...query, ...(cursor === undefined ? {} : { cursor }) });
		replayed.push(...page.replayed);
		skipped.push(...page.skipped);
		cursor = page.cursor;
		if (cursor !== undefined) session.terminal.status(`${replayed.length} replayed`);
	}
	return { replayed, skipped };
}
