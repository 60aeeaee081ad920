import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { nodeNotes, nodesText } from "../render/nodes.js";
import type { Session } from "../session.js";

/** `berth nodes` */
export function registerNodes({ program, action }: Registrar): void {
	program
		.command("nodes")
		.description("list the machines that run functions: their state, what they hold, their labels; and the gateways")
		.addHelpText("after", "\nExample:\n  berth nodes --json | jq '.nodes[] | select(.labels.zone == \"a\")'")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				const list = await client.nodes();
				if (session.json) session.terminal.json(list);
				else {
					session.terminal.print(nodesText(list, Date.now()));
					for (const note of nodeNotes(list.nodes)) session.terminal.note(note);
				}
				return EXIT.ok;
			}),
		);
}
