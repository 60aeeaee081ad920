import { readFile } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { sealingKeyId } from "@berth/contracts";
import { askRedis, RedisError, type Reply } from "../doctor/redis-connection.js";
import { isMissing } from "../system-errors.js";

/** What a login at a package registry is sealed with, which no backup has. */
export interface SealedLogin {
	readonly project: string;
	readonly host: string;
	/** Of the key (`sealingKeyId`). */
	readonly keyId: string;
}

/** Hashes of a project's registries by host, as the registry writes them. */
const REGISTRIES = "{berth}:package-registries:";
const SEALED = /^v1\.([0-9a-f]{8})\./;

/** The logins that the durable Redis holds now. */
export async function sealedLogins({ durableRedisUrl }: Settings): Promise<readonly SealedLogin[]> {
	const names = textsOf((await askRedis(durableRedisUrl, [["KEYS", `${REGISTRIES}*`]]))[0]);
	const found = await Promise.all(
		names.map(async (name) => {
			const fields = textsOf((await askRedis(durableRedisUrl, [["HGETALL", name]]))[0]);
			return pairsOf(fields).map(([host, entry]) => loginOf(name.slice(REGISTRIES.length), host, entry));
		}),
	);
	return found.flat(2);
}

/** Those that aren't sealed with the key that this stack has, should it have one. */
export async function unopenable(logins: readonly SealedLogin[], { secretsKey, paths }: Settings): Promise<readonly SealedLogin[]> {
	const key = secretsKey ?? (await readFile(paths.secretsKey, "utf8").catch(orNone));
	const ours = key === undefined ? undefined : sealingKeyId(key.trim());
	return logins.filter(({ keyId }) => keyId !== ours);
}

function loginOf(project: string, host: string, entry: string): readonly SealedLogin[] {
	const { sealed = "" } = JSON.parse(entry) as { readonly sealed?: string };
	const [, keyId] = SEALED.exec(sealed) ?? [];
	return keyId === undefined ? [] : [{ project, host, keyId }];
}

function pairsOf(fields: readonly string[]): readonly (readonly [string, string])[] {
	return fields.flatMap((field, i) => (i % 2 === 0 ? [[field, fields[i + 1] as string] as const] : []));
}

function textsOf(reply: Reply | undefined): readonly string[] {
	if (Array.isArray(reply)) return reply.map(String);
	throw reply instanceof RedisError ? reply : new Error("the durable Redis answers what no Redis does");
}

function orNone(error: unknown): undefined {
	if (!isMissing(error)) throw error;
}
