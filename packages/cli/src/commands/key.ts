import { type ApiKey, allows, HOUR_MS, KEY_LIFE_MS, KEY_RATE, MINUTE_MS, SCOPES, type Scope } from "@berth/contracts";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT } from "../exit-codes.js";
import { parseDurationMs } from "../input/durations.js";
import type { Registrar } from "../registrar.js";
import { berthIn } from "../render/command-line.js";
import { tableOf } from "../render/table.js";
import { sinceText } from "../render/units.js";
import type { Session } from "../session.js";

const EXAMPLES = `
Scopes: read (look at everything), invoke (run, cancel, replay), deploy (change
functions and what they have; includes read), admin (all, and API keys).

Examples:
  berth key create ci --scope deploy
  berth key create shop --scope invoke --expires 720h
  berth key list
  berth key revoke ci`;

/** `berth key create|list|revoke` */
export function registerKey(registrar: Registrar): void {
	const group = registrar.program.command("key").description("make, list or revoke API keys").addHelpText("after", EXAMPLES);
	registerCreate(group, registrar);
	registerKeyList(group, registrar);
	registerRevoke(group, registrar);
}

function registerCreate(group: Command, { action }: Registrar): void {
	group
		.command("create")
		.description("make an API key; it is shown this once")
		.argument("<name>", "its name")
		.requiredOption("--scope <scope>", `what it may do: ${SCOPES.join(", ")}; may be repeated`, parseScope)
		.option("--expires <duration>", "how long it is good for: 90m, 720h (default: until it is revoked)", parseLife)
		.option("--rate <number>", "requests that it may make in a second (default: as many as its project)", parseRate)
		.addHelpText("after", "\nExample:\n  berth key create ci --scope deploy --scope invoke")
		.action(
			action(
				async (session: Session, { scope, expires, rate }: { scope: readonly Scope[]; expires?: number; rate?: number }, name: string) => {
					const { client } = await session.connect();
					const { terminal, json } = session;
					const made = await client.makeApiKey({
						...{ name, scopes: [...scope] },
						...(expires === undefined ? {} : { expiresInMs: expires }),
						...(rate === undefined ? {} : { ratePerSecond: rate }),
					});
					if (json) {
						terminal.json(made);
						return EXIT.ok;
					}
					terminal.print(made.key);
					const until = made.expiresAt === undefined ? `until \`${berthIn(made.project)} key revoke ${name}\`` : `until ${made.expiresAt}`;
					terminal.note(`This key has ${made.scopes.join(", ")} in the project ${made.project}, ${until}. It isn't shown again.`);
					return EXIT.ok;
				},
			),
		);
}

function registerKeyList(group: Command, { action }: Registrar): void {
	group
		.command("list")
		.alias("ls")
		.description("list API keys and what each may do")
		.addHelpText("after", "\nExample:\n  berth key list")
		.action(
			action(async (session: Session) => {
				const { terminal, json } = session;
				const { client } = await session.connect();
				const keys = await client.apiKeys();
				if (json) terminal.json({ keys });
				else if (keys.length === 0)
					terminal.note(`There is no API key but the operator's. \`${session.berth} key create <name>\` makes one.`);
				else terminal.print(keysTable(keys));
				return EXIT.ok;
			}),
		);
}

function registerRevoke(group: Command, { action }: Registrar): void {
	group
		.command("revoke")
		.alias("rm")
		.description("take an API key back: within a second it lets nobody in")
		.argument("<name>", "its name")
		.addHelpText("after", "\nExample:\n  berth key revoke ci")
		.action(
			action(async (session: Session, _options: object, name: string) => {
				const { client } = await session.connect();
				await client.revokeApiKey(name);
				if (session.json) session.terminal.json({ revoked: name });
				else session.terminal.note(`${name}${session.project === undefined ? "" : ` of the project ${session.project}`} is revoked.`);
				return EXIT.ok;
			}),
		);
}

function parseScope(text: string, before: readonly Scope[] = []): readonly Scope[] {
	const scope = SCOPES.find((one) => one === text);
	if (scope === undefined) throw new InvalidArgumentError(`A scope is one of: ${SCOPES.join(", ")}.`);
	return before.includes(scope) ? before : [...before, scope];
}

function parseLife(text: string): number {
	const ms = parseDurationMs(text);
	if (ms >= KEY_LIFE_MS.min && ms <= KEY_LIFE_MS.max) return ms;
	throw new InvalidArgumentError(`A key is good for ${KEY_LIFE_MS.min / MINUTE_MS}m to ${KEY_LIFE_MS.max / HOUR_MS}h (ten years).`);
}

function parseRate(text: string): number {
	const rate = /^\d+$/.test(text) ? Number(text) : Number.NaN;
	if (rate >= KEY_RATE.min && rate <= KEY_RATE.max) return rate;
	throw new InvalidArgumentError(`Requests a second: a whole number from ${KEY_RATE.min} to ${KEY_RATE.max}.`);
}

function keysTable(keys: readonly ApiKey[]): string {
	const now = Date.now();
	return tableOf(keys, [
		{ heading: "KEY", cell: ({ name }) => name },
		{ heading: "MAY", cell: ({ scopes }) => SCOPES.filter((scope) => allows(scopes, scope)).join(", ") },
		{ heading: "RATE", cell: ({ ratePerSecond }) => (ratePerSecond === undefined ? "its project's" : `${ratePerSecond}/s`) },
		{ heading: "CREATED", cell: ({ createdAt }) => sinceText(createdAt, now) },
		{ heading: "EXPIRES", cell: ({ expiresAt }) => expiryText(expiresAt, now) },
	]);
}

function expiryText(expiresAt: string | undefined, now: number): string {
	if (expiresAt === undefined) return "never";
	return Date.parse(expiresAt) <= now ? `expired ${sinceText(expiresAt, now)}` : expiresAt;
}
