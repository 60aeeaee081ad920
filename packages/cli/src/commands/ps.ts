import { DEFAULT_PROJECT, type SandboxInfo } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { failingText } from "../render/failing.js";
import { keptText } from "../render/kept.js";
import { tableOf } from "../render/table.js";
import { ageText, bytesText } from "../render/units.js";
import type { Session } from "../session.js";

/** `berth ps` */
export function registerPs({ program, action }: Registrar): void {
	program
		.command("ps")
		.description("list the sandboxes: what they hold, their state, age and memory")
		.addHelpText("after", "\nExample:\n  berth ps --json | jq '.sandboxes[] | select(.state == \"busy\")'")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				const { sandboxes, failing } = await client.sandboxesAndFailing();
				if (session.json) session.terminal.json({ sandboxes, failing });
				else if (sandboxes.length === 0) session.terminal.note("There is no sandbox.");
				else session.terminal.print(sandboxesTable(sandboxes));
				if (!session.json) for (const each of failing) session.terminal.note(`${nameOf(each)} ${failingText(each)}`);
				return EXIT.ok;
			}),
		);
}

function sandboxesTable(sandboxes: readonly SandboxInfo[]): string {
	return tableOf(sandboxes, [
		{ heading: "SANDBOX", cell: (each) => each.id },
		{ heading: "STATE", cell: (each) => each.state },
		{ heading: "FUNCTION", cell: holds },
		{ heading: "CLASS", cell: (each) => `${each.memoryClassMiB} MiB`, align: "right" },
		{ heading: "MEMORY", cell: (each) => bytesText(each.memoryBytes), align: "right" },
		{ heading: "AGE", cell: (each) => ageText(each.ageMs), align: "right" },
		{ heading: "IDLE", cell: (each) => ageText(each.idleMs), align: "right" },
		{ heading: "KEPT", cell: keptText },
		{ heading: "USES", cell: (each) => String(each.invocations), align: "right" },
		// Where there is one node its name says nothing.
		...(new Set(sandboxes.map(({ node }) => node)).size > 1 ? [{ heading: "NODE", cell: (each: SandboxInfo) => each.node }] : []),
	]);
}

function holds(sandbox: SandboxInfo): string {
	if (sandbox.kind !== "function") return "(builds)";
	if (sandbox.function === undefined) return "-";
	return nameOf(sandbox);
}

function nameOf({ project, function: name, version }: Pick<SandboxInfo, "project" | "function" | "version">): string {
	return `${project === DEFAULT_PROJECT ? "" : `${project}/`}${name} v${version}`;
}
