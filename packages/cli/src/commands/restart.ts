import type { Settings } from "@berth/config";
import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";
import { askForRestart } from "../supervisor/control.js";
import { readSupervisorState } from "../supervisor/state-file.js";

/** What is Berth's own: the Redis servers go on unless they are named. The launcher's goes with its worker. */
const OWN = ["launcher", "gateway"];

const HELP = `
Without a name: launcher, worker and gateway, as far as this machine has them, so
that they run what is installed now, with the settings that the stack was started with. Nobody is refused
meanwhile: the next gateway is up before the last one ends, and what is invoked
while the worker is away waits for the next one. What runs has 10 s to end.
Names: gateway, worker, launcher (with the worker), redis-durable, redis-fast.

Examples:
  berth restart
  berth restart worker`;

/** `berth restart [process]` */
export function registerRestart({ program, action }: Registrar): void {
	program
		.command("restart")
		.description("start processes of this machine's stack again, while it serves")
		.argument("[process]", "one alone")
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, _options: object, name: string | undefined) => {
				const settings = session.settings();
				const names = name === undefined ? await ownOf(settings) : [name];
				for (const each of names) await askForRestart(settings, each);
				const restarted = names.flatMap((each) => (each === "launcher" ? [each, "worker"] : [each]));
				if (session.json) session.terminal.json({ restarted });
				else session.terminal.note(`${restarted.join(", ")}: up again.`);
				return EXIT.ok;
			}),
		);
}

/** Those that this machine's stack has; all of them where there is none to ask, which whoever asks for them says. */
async function ownOf({ paths }: Pick<Settings, "paths">): Promise<readonly string[]> {
	const children = (await readSupervisorState(paths))?.children;
	return children === undefined ? OWN : OWN.filter((name) => children.some((child) => child.name === name));
}
