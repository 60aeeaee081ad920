import { EXIT } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";

const HELP = `
For a stack whose durable Redis was lost: each image in the artifact store says of
which function and version it is. The newest version of each function is live
again. What is on record stays as it is. Until then nothing that the store has is
removed, and nothing new can be deployed.

Example:
  berth recover`;

/** `berth recover` */
export function registerRecover({ program, action }: Registrar): void {
	program
		.command("recover")
		.description("bring functions back from the artifact store")
		.addHelpText("after", HELP)
		.action(
			action(async (session) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const recovery = await client.recover();
				const { recovered, present, lost } = recovery;
				if (json) {
					terminal.json(recovery);
					return lost.length === 0 ? EXIT.ok : EXIT.failed;
				}
				for (const one of recovered) terminal.print(`${one.function}:${one.version}`);
				for (const { image, why } of lost) terminal.note(`${image} can't be brought back as it was: ${why}`);
				terminal.note(`${recovered.length} versions are back, ${present} were on record, ${lost.length} are lost.`);
				return lost.length === 0 ? EXIT.ok : EXIT.failed;
			}),
		);
}
