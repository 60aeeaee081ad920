import { readFile } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { openText, sealedAs, sealedWith, sealingKeyId, sealingKeysIn } from "@berth/contracts";
import { askRedis, RedisError, type Reply } from "../doctor/redis-connection.js";
import { isMissing } from "../system-errors.js";

/** A secret among the records; what it is sealed with is in no backup. */
export interface SealedSecret {
	/** For people: `the login at npm.example.com (project default)`. */
	readonly of: string;
	/** Of the key (`sealingKeyId`); empty where the record is so damaged that it names none. */
	readonly keyId: string;
}

/** The same with what is sealed, to see whether it opens: it leaves this machine in nothing. */
export interface SealedRecord extends SealedSecret {
	/** `sealedAs` says of each kind. */
	readonly as: string;
	/** With the key that is named. */
	readonly texts: readonly string[];
}

const CALLBACKS = /^\{berth\}:callback-secret:([^:]+)$/;

/** A record as it was parsed. */
type Parts = Readonly<Record<string, unknown>>;
type Fields = readonly (readonly [field: string, text: string])[];

/** Hashes that have secrets in them, as the registry writes them, and what those are of. */
const PLACES: readonly { readonly name: RegExp; readonly read: (name: string, fields: Fields) => readonly SealedRecord[] }[] = [
	{
		name: /^\{berth\}:package-registries:([^:]+)$/,
		read: (project, fields) =>
			fields.flatMap(([host, entry]) =>
				// One without a login has nothing sealed.
				recordsIn(entry, `the login at ${host} (project ${project})`, sealedAs.packageRegistry(project, host), (login) =>
					"sealed" in login ? [login] : [],
				),
			),
	},
	{
		name: /^\{berth\}:secrets:([^:]+)$/,
		read: (project, fields) =>
			fields.flatMap(([name, record]) =>
				recordsIn(record, `the secret ${name} (project ${project})`, sealedAs.secret(project, name), (secret) => [secret]),
			),
	},
	{ name: /^\{berth\}:hook:([0-9a-f]{40})$/, read: (id, fields) => secretsOfHook(id, new Map(fields)) },
];
const SEALED = /"sealed":"([^"]*)"/g;
/** Names that are looked through at a time: other commands come between. */
const SCANNED = "1000";

/** The secrets that the durable Redis holds now, as a backup tells of them. */
export async function sealedSecrets(settings: Settings): Promise<readonly SealedSecret[]> {
	return (await sealedRecords(settings)).map(({ of, keyId }) => ({ of, keyId }));
}

/** The same with what is sealed. */
export async function sealedRecords({ durableRedisUrl }: Settings): Promise<readonly SealedRecord[]> {
	const found: SealedRecord[] = [];
	let cursor = "0";
	do {
		const [reply] = await askRedis(durableRedisUrl, [["SCAN", cursor, "MATCH", "{berth}:[chps]*", "COUNT", SCANNED]]);
		const [next, names] = listOf(reply);
		cursor = String(next);
		for (const name of listOf(names).map(String)) {
			const [, project] = CALLBACKS.exec(name) ?? [];
			if (project !== undefined) found.push(...(await secretOfCallbacks(durableRedisUrl, name, project)));
			for (const { name: pattern, read } of PLACES) {
				const [, subject] = pattern.exec(name) ?? [];
				if (subject !== undefined) found.push(...read(subject, await fieldsOf(durableRedisUrl, name)));
			}
		}
	} while (cursor !== "0");
	return found.sort((a, b) => (a.of < b.of ? -1 : 1));
}

/** Those that are sealed with another key than this stack has, should it have one. */
export async function unopenable(secrets: readonly SealedSecret[], settings: Settings): Promise<readonly SealedSecret[]> {
	const ours = await keysOf(settings);
	return secrets.filter(({ keyId }) => keyId !== "" && !ours.has(keyId));
}

/** Those that are sealed with a key of this stack, and don't open with it: each is opened, and what comes of it forgotten. */
export async function damaged(records: readonly SealedRecord[], settings: Settings): Promise<readonly SealedSecret[]> {
	const ours = await keysOf(settings);
	return records.filter(({ keyId, as, texts }) => {
		const key = ours.get(keyId);
		return keyId === "" || (key !== undefined && !texts.every((sealed) => opens(sealed, as, key)));
	});
}

function opens(sealed: string, as: string, key: string): boolean {
	try {
		openText(sealed, as, key);
		return true;
	} catch {
		return false;
	}
}

/** By what tells them apart; none where there is no key yet. */
export async function keysOf({ secretsKey, paths }: Settings): Promise<ReadonlyMap<string, string>> {
	const text = secretsKey ?? (await readFile(paths.secretsKey, "utf8").catch(orNone)) ?? "";
	return new Map(sealingKeysIn(text).map((key) => [sealingKeyId(key), key]));
}

async function fieldsOf(url: string, name: string): Promise<Fields> {
	const [reply] = await askRedis(url, [["HGETALL", name]]);
	const texts = listOf(reply).map(String);
	return texts.flatMap((field, i) => (i % 2 === 0 ? [[field, texts[i + 1] as string] as const] : []));
}

async function secretOfCallbacks(url: string, name: string, project: string): Promise<readonly SealedRecord[]> {
	const [text] = await askRedis(url, [["GET", name]]);
	return recordsIn(
		String(text),
		`what callbacks are signed with (project ${project})`,
		sealedAs.callbacks(project),
		({ current, previous = [] }) => [current, ...(Array.isArray(previous) ? previous : [previous])],
	);
}

function secretsOfHook(id: string, fields: ReadonlyMap<string, string>): readonly SealedRecord[] {
	const config = parsed(fields.get("config") ?? "") as Readonly<Record<string, string>> | undefined;
	if (config === undefined) return [broken(`the hook ${id}`)];
	const { name = id, project = "", function: of } = config;
	return recordsIn(
		fields.get("secrets") ?? "{}",
		`the secret of the hook ${name} of ${of} (project ${project})`,
		sealedAs.hook(project, id),
		// One whose secret isn't set yet has none.
		({ current, previous }) => [current, previous].filter((each) => each !== undefined),
	);
}

/** One for each key that something in it is sealed with, and a broken one where something is missing. @param partsOf what in it has to be sealed */
function recordsIn(json: string, of: string, as: string, partsOf: (record: Parts) => readonly unknown[]): readonly SealedRecord[] {
	const record = parsed(json);
	if (record === undefined || !partsOf(Object(record)).every(isSealed)) return [broken(of)];
	const sealed = [...json.matchAll(SEALED)].map(([, text = ""]) => text);
	const keyIds = new Set(sealed.map((text) => sealedWith(text) ?? ""));
	return [...keyIds].map((keyId) => ({ of, keyId, as, texts: sealed.filter((text) => (sealedWith(text) ?? "") === keyId) }));
}

function isSealed(part: unknown): boolean {
	const { sealed } = Object(part) as { readonly sealed?: unknown };
	return typeof sealed === "string" && sealed !== "";
}

/** Nothing can be read of it, not even with which key. */
function broken(of: string): SealedRecord {
	return { of, keyId: "", as: "", texts: [] };
}

/** Undefined when it is no JSON. */
function parsed(json: string): unknown {
	try {
		return JSON.parse(json);
	} catch {
		return undefined;
	}
}

function listOf(reply: Reply | undefined): readonly Reply[] {
	if (Array.isArray(reply)) return reply;
	throw reply instanceof RedisError ? reply : new Error("the durable Redis answers what no Redis does");
}

function orNone(error: unknown): undefined {
	if (!isMissing(error)) throw error;
}
