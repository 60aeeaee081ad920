import type { Alias, Version } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { namesText } from "../render/aliases.js";
import { cutTo, tableOf } from "../render/table.js";
import { durationText, sinceText } from "../render/units.js";
import type { Session } from "../session.js";
import type { Terminal } from "../terminal.js";

/** `berth versions <name>` */
export function registerVersions({ program, action }: Registrar): void {
	program
		.command("versions")
		.description("list the versions of a function, newest first")
		.argument("<name>", "function")
		.addHelpText("after", "\nExample:\n  berth versions hello")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				const [versions, aliases] = await Promise.all([client.versions(name), client.aliases(name)]);
				if (session.json) session.terminal.json({ versions, aliases });
				else print(session.terminal, versionsTable(versions, aliases));
				return EXIT.ok;
			}),
		);
}

/** A failure in full may be pages long. */
function print(terminal: Terminal, table: string): void {
	const shown = cutTo(terminal.columns, table);
	terminal.print(shown);
	if (shown !== table) terminal.note("What is cut with … is whole with --json.");
}

function versionsTable(versions: readonly Version[], aliases: readonly Alias[]): string {
	const now = Date.now();
	return tableOf(versions, [
		{ heading: "VERSION", cell: (each) => String(each.number), align: "right" },
		{ heading: "STATE", cell: (each) => each.state },
		{ heading: "ALIASES", cell: (each) => namesText(aliases, each.number) || "-" },
		{ heading: "RUNTIME", cell: (each) => each.manifest.runtime },
		{ heading: "MEMORY", cell: (each) => `${each.manifest.memoryMiB} MiB`, align: "right" },
		{ heading: "BUILD", cell: (each) => (each.build === undefined ? "-" : durationText(each.build.durationMs)), align: "right" },
		{ heading: "CREATED", cell: (each) => sinceText(each.createdAt, now) },
		...(versions.some(({ copy }) => copy !== undefined) ? [{ heading: "COPY", cell: (each: Version) => each.copy?.state ?? "-" }] : []),
		{ heading: "IMAGE OR FAILURE", cell: (each) => each.image?.digest.slice(0, 19) ?? each.failure?.message ?? "-" },
	]);
}
