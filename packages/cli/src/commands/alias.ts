import { type Alias, LIVE, type MovedAlias } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import { aliasTargetOf } from "../input/alias-target.js";
import { parseAlias } from "../input/reference.js";
import type { Registrar } from "../registrar.js";
import { targetText } from "../render/aliases.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";

const SET_HELP = `
Examples:
  berth alias set hello live v3=90 v4=10   a canary
  berth alias set hello live v4            and no deploy moves it
  berth alias set hello live latest        every deploy moves it, from now on
  berth alias set hello staging latest     then: berth invoke hello@staging`;

/** `berth alias list|set|rm` */
export function registerAlias(registrar: Registrar): void {
	const group = registrar.program
		.command("alias")
		.description("list, set or delete the aliases of a function")
		.addHelpText(
			"after",
			"\nExamples:\n  berth alias list hello\n  berth alias set hello live v3=90 v4=10\n  berth alias rm hello staging",
		);
	registerAliasList(group, registrar);
	registerAliasSet(group, registrar);
	registerAliasRm(group, registrar);
}

function registerAliasList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.description("list a function's aliases and where they lead")
		.argument("<name>", "function")
		.addHelpText("after", "\nExample:\n  berth alias list hello")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const aliases = await client.aliases(name);
				if (json) terminal.json({ aliases });
				else if (aliases.length === 0) terminal.note(`No version of ${name} is ready yet.`);
				else terminal.print(aliasesTable(aliases));
				return EXIT.ok;
			}),
		);
}

function registerAliasSet(group: Command, { action }: Registrar): void {
	group
		.command("set")
		.description("make an alias, or move it at once")
		.argument("<name>", "function")
		.argument("<alias>", `its name; ${LIVE} is what the bare function means`, parseAlias)
		.argument("<target...>", "v3=90 v4=10, v3, or latest")
		.addHelpText("after", SET_HELP)
		.action(
			action(async (session: Session, _options: object, name: string, alias: string, words: readonly string[]) => {
				const target = aliasTargetOf(words);
				const { client } = await session.connect();
				reportMoved(session, name, await client.setAlias(name, alias, target));
				return EXIT.ok;
			}),
		);
}

function registerAliasRm(group: Command, { action }: Registrar): void {
	group
		.command("rm")
		.description("delete an alias; its versions stay")
		.argument("<name>", "function")
		.argument("<alias>", "its name", parseAlias)
		.addHelpText("after", "\nExample:\n  berth alias rm hello staging")
		.action(
			action(async (session: Session, _options: object, name: string, alias: string) => {
				const { client } = await session.connect();
				await client.removeAlias(name, alias);
				if (session.json) session.terminal.json({ removed: `${name}@${alias}` });
				else session.terminal.note(`${alias} of ${name} is deleted.`);
				return EXIT.ok;
			}),
		);
}

/** Says where an alias leads now, and what a deploy does with it. */
export function reportMoved({ terminal, json, berth }: Session, name: string, alias: MovedAlias): void {
	if (json) {
		terminal.json(alias);
		return;
	}
	terminal.print(`${name}@${alias.name} leads to ${targetText(alias)}.`);
	for (const warning of alias.warnings ?? []) terminal.note(`Careful: ${warning}.`);
	terminal.note(
		alias.follows
			? "Each version that becomes ready takes it over."
			: `Deploys leave it there; \`${berth} alias set ${name} ${alias.name} latest\` has it follow them.`,
	);
}

function aliasesTable(aliases: readonly Alias[]): string {
	const now = Date.now();
	return tableOf(aliases, [
		{ heading: "ALIAS", cell: (each) => each.name },
		{ heading: "LEADS TO", cell: targetText },
		{ heading: "DEPLOYS", cell: (each) => (each.follows ? "move it" : "leave it") },
		{ heading: "ROLLBACK", cell: (each) => (each.previous === undefined ? "-" : `v${each.previous}`) },
		{ heading: "MOVED", cell: (each) => sinceText(each.updatedAt, now) },
	]);
}
