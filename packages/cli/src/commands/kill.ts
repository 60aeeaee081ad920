import { CommandFailure, EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";

/** `berth kill <sandbox>` */
export function registerKill({ program, action }: Registrar): void {
	program
		.command("kill")
		.description("kill a sandbox, with whatever it runs")
		.argument("<sandbox>", "its id, as `berth ps` shows it")
		.addHelpText("after", "\nExample:\n  berth kill sb_01j8z0k3v5t6w7x8y9z0a1b2c3")
		.action(
			action(async (session: Session, _options: object, sandbox: string) => {
				const { client } = await session.connect();
				const { affected } = await client.command({ kind: "kill", sandbox });
				if (affected === 0) throw new CommandFailure(EXIT.failed, `no node has a sandbox ${sandbox}: \`berth ps\` lists them`);
				if (session.json) session.terminal.json({ killed: sandbox });
				else session.terminal.note(`${sandbox} is gone.`);
				return EXIT.ok;
			}),
		);
}
