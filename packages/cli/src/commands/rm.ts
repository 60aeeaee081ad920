import { CommandFailure, EXIT } from "../exit-codes.js";
import { parseReference, type Reference } from "../input/reference.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";

/** `berth rm <name>` */
export function registerRm({ program, action }: Registrar): void {
	program
		.command("rm")
		.description("delete a function with all its versions, or one version")
		.argument("<name>", "function, or name@version", parseReference)
		.addHelpText("after", "\nExamples:\n  berth rm hello\n  berth rm hello@3")
		.action(
			action(async (session: Session, _options: object, { name, selector }: Reference) => {
				if (selector !== undefined && "alias" in selector) {
					throw new CommandFailure(EXIT.usage, `\`${session.berth} alias rm ${name} ${selector.alias}\` deletes an alias`);
				}
				const { client } = await session.connect();
				await (selector === undefined ? client.remove(name) : client.removeVersion(name, selector.version));
				const removed = selector === undefined ? name : `${name}@${selector.version}`;
				if (session.json) session.terminal.json({ removed });
				else session.terminal.note(`${removed} is deleted.`);
				return EXIT.ok;
			}),
		);
}
