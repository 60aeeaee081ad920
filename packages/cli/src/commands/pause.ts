import type { Backlog } from "@berth/contracts";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { backlogText } from "../render/inspected.js";
import type { Session } from "../session.js";

/** `berth pause <name>`, `berth resume <name>` */
export function registerPause({ program, action }: Registrar): void {
	program
		.command("pause")
		.description("let a function's background work wait until it is resumed")
		.argument("<name>", "function")
		.addHelpText("after", "\nWhat runs goes on, and so do invocations that somebody waits for.\n\nExample:\n  berth pause mailer")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				return report(session, name, "paused", await client.pause(name));
			}),
		);
	program
		.command("resume")
		.description("let a function's background work go on")
		.argument("<name>", "function")
		.addHelpText("after", "\nExample:\n  berth resume mailer")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				return report(session, name, "resumed", await client.resume(name));
			}),
		);
}

function report({ json, terminal }: Session, name: string, what: string, background: Backlog): typeof EXIT.ok {
	if (json) terminal.json({ name, background });
	else terminal.print(`${name} is ${what}: ${backlogText({ ...background, paused: false })}`);
	return EXIT.ok;
}
