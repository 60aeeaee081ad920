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
		.addHelpText("after", "\nExample:\n  berth list")
		.action(
			action(async (session) => {
				const { terminal, json } = session;
				const { client, url } = await session.connect();
				const functions = await client.list();
				if (json) terminal.json({ functions });
				else if (functions.length === 0) terminal.note("No function is deployed. `berth deploy <file>` makes one.");
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
		{ heading: "UPDATED", cell: (each) => sinceText(each.updatedAt, now) },
		{ heading: "URL", cell: (each) => `${url}/fn/${each.project}/${each.name}/` },
	]);
}

function liveText({ aliases }: FunctionSummary): string {
	const live = aliases.find(({ name }) => name === LIVE);
	return live === undefined ? "-" : targetText(live);
}
