import { type Alias, LIVE, type Version } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { parseReference, type Reference } from "../input/reference.js";
import type { Registrar } from "../registrar.js";
import { inspectedText } from "../render/inspected.js";
import type { Session } from "../session.js";

/** `berth inspect <name>` */
export function registerInspect({ program, action }: Registrar): void {
	program
		.command("inspect")
		.description("show a version: image, layers and their sizes, base, settings")
		.argument("<name>", "function, name@alias or name@version", parseReference)
		.addHelpText(
			"after",
			"\nExamples:\n  berth inspect hello\n  berth inspect hello@3\n\nOf an alias that is split, each of its versions is shown.",
		)
		.action(
			action(async (session: Session, _options: object, reference: Reference) => {
				const { client } = await session.connect();
				const aliases = await client.aliases(reference.name);
				const versions = await versionsOf(session, reference, aliases);
				const { background } = await client.get(reference.name);
				const isOf = (one: { readonly project?: string; readonly function?: string }) =>
					one.project === versions[0]?.project && one.function === reference.name;
				const all = await client.sandboxesAndFailing();
				const [sandboxes, failing] = [all.sandboxes.filter(isOf), all.failing.filter(isOf)];
				if (session.json) session.terminal.json({ versions, aliases, background, failing, sandboxes });
				else
					session.terminal.print(versions.map((version) => inspectedText(version, aliases, background, failing, sandboxes)).join("\n\n"));
				return EXIT.ok;
			}),
		);
}

/** What is meant; of a function that has no ready version, the latest. */
async function versionsOf(session: Session, { name, selector }: Reference, aliases: readonly Alias[]): Promise<readonly Version[]> {
	const { client } = await session.connect();
	if (selector !== undefined && "version" in selector) return [await client.version(name, selector.version)];
	const alias = aliases.find((one) => one.name === (selector?.alias ?? LIVE));
	if (alias !== undefined) return await Promise.all(Object.keys(alias.weights).map((number) => client.version(name, Number(number))));
	if (selector !== undefined) {
		throw new CommandFailure(EXIT.failed, `${name} has no alias ${selector.alias}: \`${session.berth} alias list ${name}\` lists them`);
	}
	return [(await client.get(name)).version];
}
