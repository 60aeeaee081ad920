import { AUDIT_KEPT, type AuditEntry } from "@berth/contracts";
import { InvalidArgumentError } from "commander";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { tableOf } from "../render/table.js";
import type { Session } from "../session.js";

/** `berth audit` */
export function registerAudit({ program, action }: Registrar): void {
	program
		.command("audit")
		.description("list changes: who made which, when and from where")
		.option("--limit <n>", "how many, the newest first (default: 100)", parseLimit)
		.addHelpText("after", "\nExamples:\n  berth audit\n  berth audit --limit 1000 --json")
		.action(
			action(async (session: Session, { limit }: { limit?: number }) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const list = await client.changes(limit === undefined ? {} : { limit });
				if (json) terminal.json(list);
				else if (list.entries.length === 0) terminal.note("Nothing was changed yet.");
				else terminal.print(changesTable(list.entries));
				return EXIT.ok;
			}),
		);
}

function parseLimit(text: string): number {
	const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
	if (limit < 1 || limit > AUDIT_KEPT) throw new InvalidArgumentError(`A whole number from 1 to ${AUDIT_KEPT} is wanted.`);
	return limit;
}

function changesTable(entries: readonly AuditEntry[]): string {
	return tableOf(entries, [
		{ heading: "WHEN", cell: ({ at }) => at },
		{ heading: "KEY", cell: ({ key }) => key.name },
		{ heading: "FROM", cell: ({ from }) => from },
		{ heading: "STATUS", cell: ({ status }) => (status === undefined ? "?" : String(status)) },
		{ heading: "CHANGE", cell: ({ method, path, about }) => `${method} ${path}${about === undefined ? "" : ` (${about})`}` },
	]);
}
