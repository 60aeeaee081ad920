import type { CallbackSecret } from "@berth/contracts";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";

/** `berth callback secret|rotate|send` */
export function registerCallback(registrar: Registrar): void {
	const group = registrar.program
		.command("callback")
		.description("what callbacks of background invocations are signed with; send one again")
		.addHelpText(
			"after",
			"\nExamples:\n  berth callback secret\n  berth callback rotate\n  berth callback send inv_01m8860h6jgwj1kvk9rcn70njt",
		);
	registerSecret(group, registrar);
	registerRotate(group, registrar);
	registerSend(group, registrar);
}

function registerSecret(group: Command, { action }: Registrar): void {
	group
		.command("secret")
		.description("show the project's secret, which is made when it is asked for first")
		.addHelpText("after", "\nExample:\n  berth callback secret")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				return shown(session, await client.callbackSecret());
			}),
		);
}

function registerRotate(group: Command, { action }: Registrar): void {
	group
		.command("rotate")
		.description("make another secret; for a day callbacks are signed with the one before, too")
		.addHelpText("after", "\nExample:\n  berth callback rotate")
		.action(
			action(async (session: Session) => {
				const { client } = await session.connect();
				return shown(session, await client.rotateCallbackSecret());
			}),
		);
}

function registerSend(group: Command, { action }: Registrar): void {
	group
		.command("send")
		.description("send the callback of a settled invocation once more")
		.argument("<invocation>", "its id")
		.addHelpText("after", "\nExample:\n  berth callback send inv_01m8860h6jgwj1kvk9rcn70njt")
		.action(
			action(async (session: Session, _options: object, id: string) => {
				const { client } = await session.connect();
				const callback = await client.sendCallback(id);
				if (session.json) session.terminal.json(callback);
				else session.terminal.note(`It is sent to ${callback.url}; \`${session.berth} logs ${id} --json\` says how it went.`);
				return EXIT.ok;
			}),
		);
}

function shown({ terminal, json }: Session, secret: CallbackSecret) {
	if (json) terminal.json(secret);
	else {
		terminal.print(secret.secret);
		if (secret.previousUntil !== undefined) terminal.note(`Until ${secret.previousUntil} callbacks are signed with the one before, too.`);
	}
	return EXIT.ok;
}
