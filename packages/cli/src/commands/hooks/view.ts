import type { Command } from "commander";
import { EXIT } from "../../exit-codes.js";
import type { Registrar } from "../../registrar.js";
import { hooksTable } from "../../render/hooks.js";
import type { Session } from "../../session.js";
import { showHook } from "./change.js";

/** `berth hooks list|inspect` */
export function registerHookViews(hooks: Command, { action }: Registrar): void {
	hooks
		.command("list")
		.alias("ls")
		.description("list a function's hooks")
		.argument("<function>", "function")
		.action(
			action(async (session: Session, _options: object, target: string) => {
				const { terminal, json } = session;
				const { client, url } = await session.connect();
				const found = await client.hooks(target);
				if (json) terminal.json({ hooks: found.map((hook) => ({ ...hook, url: url + hook.path })) });
				else if (found.length === 0)
					terminal.note(`${target} has no hook. \`${session.berth} hooks create ${target} --scheme github\` makes one.`);
				else terminal.print(hooksTable(found, url, Date.now()));
				return EXIT.ok;
			}),
		);
	hooks
		.command("inspect")
		.description("show a hook, but for its secret")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, hook: string) => {
				const { client, url } = await session.connect();
				showHook(session, url, await client.hook(target, hook));
				return EXIT.ok;
			}),
		);
}
