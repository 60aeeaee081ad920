import { type FunctionSummary, LIVE } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { targetText } from "../render/aliases.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";

/** `berth list` */
export function registerList({ program, action }: Registrar): void {
	program
		.command("list")
		.alias("ls")
		.description("list the functions")
		.option("--outdated", "only those that an alias leads to on an old base")
		.addHelpText("after", "\nExamples:\n  berth list\n  berth list --outdated")
		.action(
			action(async (session, { outdated }: { readonly outdated?: boolean }) => {
				const { terminal, json } = session;
				const { client, url } = await session.connect();
				const functions = await (outdated === true ? client.outdated() : client.list());
				if (json) terminal.json({ functions });
				else if (outdated === true && functions.length === 0) terminal.note("Every function is on the base of its runtime.");
				else if (outdated === true) terminal.print(outdatedTable(functions, session.berth));
				else if (functions.length === 0) terminal.note(`No function is deployed. \`${session.berth} deploy <file>\` makes one.`);
				else terminal.print(functionsTable(functions, url));
				return EXIT.ok;
			}),
		);
}

function functionsTable(functions: readonly FunctionSummary[], url: string): string {
	const now = Date.now();
	return tableOf(functions, [
		{ heading: "NAME", cell: (each) => each.name },
		{ heading: "LIVE", cell: liveText },
		{ heading: "LATEST", cell: (each) => `v${each.latest}` },
		...(functions.some(({ paused }) => paused) ? [{ heading: "BACKGROUND", cell: pausedText }] : []),
		{ heading: "UPDATED", cell: (each) => sinceText(each.updatedAt, now) },
		{ heading: "URL", cell: (each) => `${url}/fn/${each.project}/${each.name}/` },
	]);
}

function outdatedTable(functions: readonly FunctionSummary[], berth: string): string {
	const rows = functions.flatMap(({ name, outdated = [] }) => outdated.map((each) => ({ name, ...each })));
	return tableOf(rows, [
		{ heading: "NAME", cell: (each) => each.name },
		{ heading: "VERSION", cell: (each) => String(each.version), align: "right" },
		{ heading: "BASE", cell: (each) => each.base.slice(0, 19) },
		{ heading: "NOW", cell: (each) => each.current.slice(0, 19) },
		{ heading: "MEND", cell: (each) => `${berth} rebase ${each.name}` },
	]);
}

function pausedText({ paused }: FunctionSummary): string {
	return paused === true ? "paused" : "-";
}

function liveText({ aliases }: FunctionSummary): string {
	const live = aliases.find(({ name }) => name === LIVE);
	return live === undefined ? "-" : targetText(live);
}
