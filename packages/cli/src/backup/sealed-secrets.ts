import { readFile } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { sealingKeyId, sealingKeysIn } from "@berth/contracts";
import { askRedis, RedisError, type Reply } from "../doctor/redis-connection.js";
import { isMissing } from "../system-errors.js";

/** A secret among the records; what it is sealed with is in no backup. */
export interface SealedSecret {
	/** For people: `the login at npm.example.com (project default)`. */
	readonly of: string;
	/** Of the key (`sealingKeyId`). */
	readonly keyId: string;
}

const CALLBACKS = /^\{berth\}:callback-secret:([^:]+)$/;

type Fields = readonly (readonly [field: string, text: string])[];

/** Hashes that have secrets in them, as the registry writes them, and what those are of. */
const PLACES: readonly { readonly name: RegExp; readonly read: (name: string, fields: Fields) => readonly SealedSecret[] }[] = [
	{
		name: /^\{berth\}:package-registries:([^:]+)$/,
		read: (project, fields) => fields.flatMap(([host, entry]) => secretsIn(entry, `the login at ${host} (project ${project})`)),
	},
	{
		name: /^\{berth\}:secrets:([^:]+)$/,
		read: (project, fields) => fields.flatMap(([name, record]) => secretsIn(record, `the secret ${name} (project ${project})`)),
	},
	{ name: /^\{berth\}:hook:([0-9a-f]{40})$/, read: (id, fields) => secretsOfHook(id, new Map(fields)) },
];
const SEALED = /"sealed":"v1\.([0-9a-f]{8})\./g;
/** Names that are looked through at a time: other commands come between. */
const SCANNED = "1000";

/** The secrets that the durable Redis holds now. */
export async function sealedSecrets({ durableRedisUrl }: Settings): Promise<readonly SealedSecret[]> {
	const found: SealedSecret[] = [];
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

/** Those that aren't sealed with the key that this stack has, should it have one. */
export async function unopenable(secrets: readonly SealedSecret[], { secretsKey, paths }: Settings): Promise<readonly SealedSecret[]> {
	const key = secretsKey ?? (await readFile(paths.secretsKey, "utf8").catch(orNone));
	const ours = new Set(sealingKeysIn(key ?? "").map(sealingKeyId));
	return secrets.filter(({ keyId }) => !ours.has(keyId));
}

async function fieldsOf(url: string, name: string): Promise<Fields> {
	const [reply] = await askRedis(url, [["HGETALL", name]]);
	const texts = listOf(reply).map(String);
	return texts.flatMap((field, i) => (i % 2 === 0 ? [[field, texts[i + 1] as string] as const] : []));
}

async function secretOfCallbacks(url: string, name: string, project: string): Promise<readonly SealedSecret[]> {
	const [text] = await askRedis(url, [["GET", name]]);
	return secretsIn(String(text), `what callbacks are signed with (project ${project})`);
}

function secretsOfHook(id: string, fields: ReadonlyMap<string, string>): readonly SealedSecret[] {
	const { name = id, project, function: of } = JSON.parse(fields.get("config") ?? "{}") as Readonly<Record<string, string>>;
	return secretsIn(fields.get("secrets") ?? "", `the secret of the hook ${name} of ${of} (project ${project})`);
}

/** One for each key that something in it is sealed with. */
function secretsIn(json: string, of: string): readonly SealedSecret[] {
	return [...new Set([...json.matchAll(SEALED)].map(([, keyId = ""]) => keyId))].map((keyId) => ({ of, keyId }));
}

function listOf(reply: Reply | undefined): readonly Reply[] {
	if (Array.isArray(reply)) return reply;
	throw reply instanceof RedisError ? reply : new Error("the durable Redis answers what no Redis does");
}

function orNone(error: unknown): undefined {
	if (!isMissing(error)) throw error;
}
