import type { Client } from "@berth/client";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { parseReference, type Reference } from "../input/reference.js";
import type { Registrar } from "../registrar.js";
import { buildLineText, progressText } from "../render/build-log.js";
import type { Session } from "../session.js";

const HELP = `
Of a version that is still being built, what follows is shown, too, until it ends.
The exit code is 1 when the build failed.

Examples:
  berth buildlog hello
  berth buildlog hello@3`;

/** `berth buildlog <name>` */
export function registerBuildLog({ program, action }: Registrar): void {
	program
		.command("buildlog")
		.description("show what a version's build said")
		.argument("<name>", "function, name@alias or name@version (default: the latest)", parseReference)
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, _options: object, reference: Reference) => {
				const { terminal } = session;
				const { client } = await session.connect();
				const number = await numberOf(client, reference);
				if (session.json) {
					const log = await client.buildLog(reference.name, number);
					terminal.json(log);
					return log.state === "failed" ? EXIT.failed : EXIT.ok;
				}
				const { state } = await client.followBuild(reference.name, number, {
					onLine: (line) => terminal.print(buildLineText(line, terminal)),
					onProgress: (progress) => terminal.status(progressText(progress)),
				});
				terminal.clearStatus();
				return state === "ready" ? EXIT.ok : EXIT.failed;
			}),
		);
}

/** Which version is meant. @throws CommandFailure when an alias leads to several */
async function numberOf(client: Client, { name, selector }: Reference): Promise<number> {
	if (selector === undefined) return (await client.get(name)).latest;
	if ("version" in selector) return selector.version;
	const numbers = Object.keys((await client.aliases(name)).find((one) => one.name === selector.alias)?.weights ?? {});
	if (numbers.length === 1) return Number(numbers[0]);
	const wrong =
		numbers.length === 0 ? "there is no such alias" : `it is split: say ${numbers.map((each) => `${name}@${each}`).join(" or ")}`;
	throw new CommandFailure(EXIT.usage, `${name}@${selector.alias}: ${wrong}`);
}
