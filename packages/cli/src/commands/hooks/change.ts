import { type Hook, type HookWithSecret, type SchemeName, schemeOf } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../../exit-codes.js";
import { parseDurationMs } from "../../input/durations.js";
import type { Registrar } from "../../registrar.js";
import { hookText } from "../../render/hooks.js";
import type { Session } from "../../session.js";
import { changesOf, type HookOptions, parseScheme, secretFrom, withHookOptions } from "./options.js";

interface CreateOptions extends HookOptions {
	readonly scheme: SchemeName;
	readonly name?: string;
	readonly secretStdin?: boolean;
}

interface RotateOptions {
	readonly secretStdin?: boolean;
	readonly overlap?: number;
}

/** `berth hooks create|update|rotate|remove` */
export function registerHookChanges(hooks: Command, registrar: Registrar): void {
	registerCreate(hooks, registrar);
	registerUpdate(hooks, registrar);
	registerRotate(hooks, registrar);
	registerRemove(hooks, registrar);
}

function registerCreate(hooks: Command, { action, stdin }: Registrar): void {
	const command = hooks
		.command("create")
		.description("make a hook, and show its URL and its secret")
		.argument("<function>", "the function that it invokes")
		.requiredOption("--scheme <scheme>", "github, stripe, slack, gitlab, shopify, standard-webhooks, hmac, token or none", parseScheme)
		.option("--name <name>", "its name (default: the scheme's)")
		.option("--secret-stdin", "the secret is what stdin has (default: one is made and shown)");
	withHookOptions(command).action(
		action(async (session: Session, { scheme, name, secretStdin, ...options }: CreateOptions, target: string) => {
			const secret = await secretFrom(stdin, secretStdin);
			const { client, url } = await session.connect();
			const named = name === undefined ? {} : { name };
			showHook(session, url, await client.makeHook(target, { scheme, ...named, ...secret, ...changesOf(options) }));
			return EXIT.ok;
		}),
	);
}

function registerUpdate(hooks: Command, { action }: Registrar): void {
	const command = hooks
		.command("update")
		.description("change what is named of a hook; lists are replaced")
		.argument("<function>", "its function")
		.argument("<hook>", "its name");
	withHookOptions(command).action(
		action(async (session: Session, options: HookOptions, target: string, hook: string) => {
			const changes = changesOf(options);
			if (Object.keys(changes).length === 0) throw new CommandFailure(EXIT.usage, "nothing is to be changed; --help lists what can be");
			const { client, url } = await session.connect();
			showHook(session, url, await client.changeHook(target, hook, changes));
			return EXIT.ok;
		}),
	);
}

function registerRotate(hooks: Command, { action, stdin }: Registrar): void {
	hooks
		.command("rotate")
		.description("give a hook another secret; the one before is good for a day, too")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.option("--secret-stdin", "the secret is what stdin has (default: one is made and shown)")
		.option("--overlap <duration>", "how long the one before is good: 0s, 1h (default 24h)", parseDurationMs)
		.action(
			action(async (session: Session, { secretStdin, overlap }: RotateOptions, target: string, hook: string) => {
				const secret = await secretFrom(stdin, secretStdin);
				const { client, url } = await session.connect();
				const rotation = { ...secret, ...(overlap === undefined ? {} : { overlapMs: overlap }) };
				showHook(session, url, await client.rotateHook(target, hook, rotation));
				return EXIT.ok;
			}),
		);
}

function registerRemove(hooks: Command, { action }: Registrar): void {
	hooks
		.command("remove")
		.alias("rm")
		.description("remove a hook and its log; its URL is nobody's any more")
		.argument("<function>", "its function")
		.argument("<hook>", "its name")
		.action(
			action(async (session: Session, _options: object, target: string, hook: string) => {
				const { client } = await session.connect();
				await client.removeHook(target, hook);
				if (session.json) session.terminal.json({ removed: `${target}/${hook}` });
				else session.terminal.note(`The hook ${hook} of ${target} is removed.`);
				return EXIT.ok;
			}),
		);
}

/** A hook as it is now. A secret is in it when it was made just now. */
export function showHook({ terminal, json, berth }: Session, url: string, hook: HookWithSecret): void {
	const full = url + hook.path;
	if (json) {
		terminal.json({ ...hook, url: full });
		return;
	}
	terminal.print(hookText(hook, full));
	const advice = adviceOf(hook, berth);
	if (advice !== undefined) terminal.note(advice);
}

function adviceOf(hook: Hook & { readonly secret?: string }, berth: string): string | undefined {
	if (hook.secret !== undefined) return "The secret is shown this once.";
	const { secretBy, title } = schemeOf(hook.scheme);
	if (hook.secretSetAt !== undefined || secretBy === "nobody") return undefined;
	return `It lets nobody in yet: ${title} makes the secret. \`${berth} hooks rotate ${hook.function} ${hook.name} --secret-stdin\` sets it.`;
}
