import { text } from "node:stream/consumers";
import type { HookChanges, SchemeSettings } from "@berth/contracts";
import { SCHEME_NAMES, type SchemeName } from "@berth/contracts";
import { type Command, InvalidArgumentError } from "commander";
import { parseDurationMs } from "../../input/durations.js";
import { parseAlias } from "../../input/reference.js";
import { parseCount } from "../../input/sizes.js";

/** Of a scheme's settings. */
interface SettingsOptions {
	readonly header?: string;
	readonly prefix?: string;
	readonly algorithm?: string;
	readonly encoding?: string;
	readonly timestampHeader?: string;
	readonly idHeader?: string;
	readonly eventHeader?: string;
}

/** As it is said: Commander takes a parser's null for no value. */
const NO_RATE = "none";

/** What `create` and `update` have in common. What it may be, the gateway says. */
export interface HookOptions extends SettingsOptions {
	readonly alias?: string;
	readonly mode?: string;
	readonly answer?: number;
	readonly event?: readonly string[];
	readonly allow?: readonly string[];
	readonly method?: readonly string[];
	readonly maxBody?: number;
	readonly tolerance?: number;
	readonly duplicates?: string;
	readonly rate?: NonNullable<HookChanges["rate"]> | typeof NO_RATE;
}

const several = (value: string, all: readonly string[] = []) => [...all, value];

/** How a scheme that is nobody's in particular is written. */
export function withSettings(command: Command): Command {
	return command
		.option("--header <name>", "where the signature or the token is (hmac, token)")
		.option("--prefix <text>", "what stands before it (hmac, token)")
		.option("--algorithm <name>", "sha256, sha1 or sha512 (hmac)")
		.option("--encoding <name>", "hex, base64 or base64url (hmac)")
		.option("--timestamp-header <name>", "where the time is that is signed, too (hmac)")
		.option("--id-header <name>", "where a delivery's id is (hmac, token, none)")
		.option("--event-header <name>", "where its event is (hmac, token, none)");
}

export function withHookOptions(command: Command): Command {
	return withSettings(command)
		.option("--alias <alias>", "whose version it invokes (default: live)", parseAlias)
		.option("--mode <mode>", "background (default), or sync: its function answers")
		.option("--answer <status>", "200, 202 (default) or 204, in the background", parseCount(200, 204))
		.option("--event <event>", "let in this event alone, or invoice.*; repeatable", several)
		.option("--allow <network>", "let in this address or network alone; repeatable", several)
		.option("--method <method>", "let in this method alone (default: POST); repeatable", several)
		.option("--max-body <bytes>", "the largest body (default: 6291456)", parseCount(1))
		.option("--tolerance <duration>", "how much a signed time may be off", parseDurationMs)
		.option("--duplicates <how>", "answer them as the first (default), or run them")
		.option("--rate <n/time>", "take so many in a time, as 100/1m (default: as many as come); none", parseRate);
}

/** The fields that were said; what isn't allowed the gateway refuses by its name. */
export function changesOf(options: HookOptions): HookChanges {
	const settings = settingsOf(options);
	return given({
		alias: options.alias,
		mode: options.mode,
		answerStatus: options.answer,
		events: options.event,
		allow: options.allow,
		methods: options.method?.map((method) => method.toUpperCase()),
		maxBodyBytes: options.maxBody,
		toleranceMs: options.tolerance,
		duplicates: options.duplicates,
		rate: options.rate === NO_RATE ? null : options.rate,
		settings: Object.keys(settings).length === 0 ? undefined : settings,
	}) as HookChanges;
}

export function settingsOf(options: SettingsOptions): SchemeSettings {
	const { header, prefix, algorithm, encoding, timestampHeader, idHeader, eventHeader } = options;
	return given({ header, prefix, algorithm, encoding, timestampHeader, idHeader, eventHeader }) as SchemeSettings;
}

/** `100/1m`, or `none`. */
function parseRate(text: string): NonNullable<HookOptions["rate"]> {
	if (text === NO_RATE) return NO_RATE;
	const [, limit = "", period = ""] = /^(\d{1,7})\/(.+)$/.exec(text) ?? [];
	if (limit === "") throw new InvalidArgumentError("A number and a time, as in 100/1m; or none.");
	return { limit: Number(limit), periodMs: parseDurationMs(period) };
}

export function parseScheme(name: string): SchemeName {
	const found = SCHEME_NAMES.find((scheme) => scheme === name);
	if (found === undefined) throw new InvalidArgumentError(`One of ${SCHEME_NAMES.join(", ")}.`);
	return found;
}

/** What stdin has, where it is said to be the secret. */
export async function secretFrom(stdin: NodeJS.ReadableStream, isThere: boolean | undefined): Promise<{ readonly secret?: string }> {
	return isThere === true ? { secret: (await text(stdin)).trim() } : {};
}

function given(fields: Readonly<Record<string, unknown>>): object {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
