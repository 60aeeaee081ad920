import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";

/** `berth rm <name>` */
export function registerRm({ program, action }: Registrar): void {
	program
		.command("rm")
		.description("delete a function with all its versions")
		.argument("<name>", "function")
		.addHelpText("after", "\nExample:\n  berth rm hello")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.remove(name);
				if (session.json) session.terminal.json({ removed: name });
				else session.terminal.note(`${name} is deleted.`);
				return EXIT.ok;
			}),
		);
}
