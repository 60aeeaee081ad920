import { randomUUID } from "node:crypto";
import { createClient, type RawAnswer } from "@berth/client";
import { type SchemeName, type SchemeSettings, schemeOf } from "@berth/contracts";
import type { Command } from "commander";
import { CommandFailure, EXIT } from "../../exit-codes.js";
import { filePayloadOf } from "../../input/payload.js";
import type { Registrar } from "../../registrar.js";
import type { Session } from "../../session.js";
import { parseScheme, secretFrom, settingsOf, withSettings } from "./options.js";

const HELP = `
The secret isn't Berth's to give back: it comes over stdin.

Examples:
  echo "$SECRET" | berth hooks send push.json --to shop/github --event push \\
    --secret-stdin
  echo "$SECRET" | berth hooks send event.json --to https://example.com/stripe \\
    --scheme stripe --secret-stdin`;

interface SendOptions extends SchemeSettings {
	readonly to: string;
	readonly scheme?: SchemeName;
	readonly event?: string;
	readonly id?: string;
	readonly contentType?: string;
	readonly secretStdin?: boolean;
}

/** Where it goes, and how it is signed. */
interface Target {
	readonly url: string;
	readonly scheme: SchemeName;
	readonly settings: SchemeSettings;
}

/** `berth hooks send <file>` */
export function registerHookSend(hooks: Command, { action, stdin }: Registrar): void {
	const command = hooks
		.command("send")
		.description("sign a file as its provider would, and deliver it")
		.argument("<file>", "the body, as it is")
		.requiredOption("--to <target>", "function/hook, or a URL")
		.option("--scheme <scheme>", "how it is signed (default: as the hook says)", parseScheme)
		.option("--event <event>", "what happened, where a header says it")
		.option("--id <id>", "the delivery's id (default: a new one)")
		.option("--content-type <type>", "type of the body (default: JSON if it is JSON)")
		.option("--secret-stdin", "the secret is what stdin has");
	withSettings(command)
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, options: SendOptions, file: string) => {
				const { bytes, contentType } = await filePayloadOf(file, options.contentType);
				const target = await targetOf(session, options);
				const { secret } = await secretFrom(stdin, options.secretStdin);
				if (secret === undefined && schemeOf(target.scheme).secretBy !== "nobody")
					throw new CommandFailure(EXIT.usage, `${target.scheme} wants a secret: --secret-stdin`);
				const answer = await deliver(target, secret ?? "", options, { body: bytes, contentType });
				showAnswer(session, answer);
				return answer.status < 400 ? EXIT.ok : EXIT.failed;
			}),
		);
}

async function targetOf(session: Session, { to, scheme, ...options }: SendOptions): Promise<Target> {
	const settings = settingsOf(options);
	if (/^https?:\/\//.test(to)) {
		if (!URL.canParse(to)) throw new CommandFailure(EXIT.usage, `${to} is no URL`);
		if (scheme === undefined) throw new CommandFailure(EXIT.usage, "with a URL, --scheme says how it is signed");
		return { url: to, scheme, settings };
	}
	const [name, hook, ...more] = to.split("/");
	if (!name || !hook || more.length > 0) throw new CommandFailure(EXIT.usage, `--to ${to}: function/hook is wanted, or a URL`);
	const { client, url } = await session.connect();
	const found = await client.hook(name, hook);
	return { url: url + found.path, scheme: scheme ?? found.scheme, settings: { ...found.settings, ...settings } };
}

/** Without a key of ours: a provider has none. */
async function deliver(
	{ url, scheme, settings }: Target,
	secret: string,
	{ event, id = randomUUID() }: SendOptions,
	{ body, contentType }: { readonly body: Buffer; readonly contentType: string },
): Promise<RawAnswer> {
	const message = { body, id, atMs: Date.now(), ...(event === undefined ? {} : { event }) };
	const { origin, pathname, search } = new URL(url);
	await using client = createClient({ url: origin });
	const signed = Object.fromEntries(schemeOf(scheme).sign(message, secret, settings));
	return await client.deliver(pathname + search, { "content-type": contentType, "user-agent": "berth-hooks-send", ...signed }, body);
}

function showAnswer({ terminal, json }: Session, { status, headers, body }: RawAnswer): void {
	const text = body.toString("utf8");
	if (json) {
		terminal.json({ status, headers, body: text });
		return;
	}
	terminal.note(`${status}`);
	if (text !== "") terminal.print(text.replace(/\n$/, ""));
}
