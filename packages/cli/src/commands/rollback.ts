import { LIVE } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { parseReference, type Reference } from "../input/reference.js";
import type { Registrar } from "../registrar.js";
import type { Session } from "../session.js";
import { reportMoved } from "./alias.js";

const HELP = `
A split alias goes to the version it led to wholly before; else it goes one
step back. Deploys leave it there until it is set to latest.

Examples:
  berth rollback hello
  berth rollback hello@staging`;

/** `berth rollback <name>` */
export function registerRollback({ program, action }: Registrar): void {
	program
		.command("rollback")
		.description("lead live (or another alias) to the version before")
		.argument("<name>", "function, or name@alias", parseReference)
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, _options: object, { name, selector = { alias: LIVE } }: Reference) => {
				if ("version" in selector) {
					const detail = `an alias is rolled back, not a version; \`${session.berth} alias set ${name} live v${selector.version}\` leads there`;
					throw new CommandFailure(EXIT.usage, detail);
				}
				const { client } = await session.connect();
				reportMoved(session, name, await client.rollBack(name, selector.alias));
				return EXIT.ok;
			}),
		);
}
