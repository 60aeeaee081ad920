import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";
import { type TakenDown, takeDown } from "../supervisor/take-down.js";

const SAID: Readonly<Record<TakenDown, string>> = {
	nothing: "No stack is up.",
	stack: "The stack is down.",
	leftovers: "The supervisor was gone already; what it had left running is stopped.",
};

/** `berth down` */
export function registerDown({ program, action }: Registrar): void {
	program
		.command("down")
		.description("stop the stack of this machine and wait until it is gone")
		.addHelpText(
			"after",
			"\nWhat was deployed stays in the data directory. That none is up is no failure.\n\nExample:\n  berth down --data /srv/berth",
		)
		.action(
			action(async (session: Session) => {
				const stopped = await takeDown(session.settings());
				if (session.json) session.terminal.json({ stopped, dataDir: session.dataDir });
				else session.terminal.note(SAID[stopped]);
				return EXIT.ok;
			}),
		);
}
