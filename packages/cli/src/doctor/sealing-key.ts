import { readdir } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { damaged, type SealedSecret, sealedRecords, unopenable } from "../backup/sealed-secrets.js";
import { missingKeyObstacle, secretsKeyObstacle } from "../supervisor/secrets-key.js";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";
import { exposure } from "./key-file.js";
import { askRedis } from "./redis-connection.js";

const NAME = "sealing key";
/** Of those that don't open. */
const NAMED = 5;

/** Whether what secrets are sealed with is a key, and opens what the durable Redis has, where that can be asked: each secret is opened, and nothing of it said. */
export async function checkSealingKey(settings: Settings, durableAnswers: boolean): Promise<readonly Check[]> {
	const from = settings.secretsKey === undefined ? settings.paths.secretsKey : "BERTH_SECRETS_KEY";
	const isAsked = durableAnswers && (await answers(settings));
	const obstacle = (await secretsKeyObstacle(settings)) ?? (isAsked ? await missingKeyObstacle(settings) : undefined);
	if (obstacle !== undefined) return [failed(NAME, `${obstacle.what}.`, `${obstacle.mend}.`)];
	const file = await fileOf(settings);
	if (file === "missing") return [await missing(settings, isAsked)];
	if (file !== undefined) return [file];
	if (!isAsked) return [ok(NAME, `${from}; what it opens is seen once the durable Redis is up, and what is asked answers.`)];
	const sealed = await sealedRecords(settings);
	const [lost, broken] = [await unopenable(sealed, settings), await damaged(sealed, settings)];
	if (lost.length + broken.length === 0)
		return [ok(NAME, `${from} opens whatever is sealed (records: ${sealed.length}${await resealed(settings)}).`)];
	const ofLost = warning(
		NAME,
		`Of ${sealed.length} sealed records no key of ${from} opens ${lost.length}: ${named(lost)}.`,
		"Put back the key that they were sealed with, behind the one of now (docs/SECURITY.md, Another key), or set them again.",
	);
	const ofBroken = warning(
		NAME,
		`Of ${sealed.length} sealed records ${broken.length} ${broken.length === 1 ? "is" : "are"} damaged, and no key opens what was changed: ${named(broken)}.`,
		"Set them again; what changed them may have changed more: see the durable Redis and its disk, or restore a backup (`berth restore`).",
	);
	return [...(lost.length > 0 ? [ofLost] : []), ...(broken.length > 0 ? [ofBroken] : [])];
}

/** What keeps it from that is another check's to say. */
async function answers({ durableRedisUrl, fastRedisUrl, embedded }: Settings): Promise<boolean> {
	const asked = [durableRedisUrl, ...(embedded.fast ? [] : [fastRedisUrl])];
	return await Promise.all(asked.map((url) => askRedis(url, [["PING"]]))).then(
		() => true,
		() => false,
	);
}

function named(records: readonly SealedSecret[]): string {
	const names = records.slice(0, NAMED).map(({ of }) => of);
	return `${names.join(", ")}${records.length > NAMED ? `, and ${records.length - NAMED} more` : ""}`;
}

/** When the worker last sealed something anew, as the registry has written it: never, where there was never another key. */
async function resealed({ durableRedisUrl }: Settings): Promise<string> {
	const [reply] = await askRedis(durableRedisUrl, [["HMGET", "{berth}:resealed", "at", "records"]]);
	const [at, records] = Array.isArray(reply) ? reply : [];
	return typeof at === "string" ? `; ${String(records)} were last sealed with another key at ${at}` : "";
}

/** Whoever reads the file opens every secret: it is the service user's alone. */
async function fileOf({ secretsKey, paths, serviceUid }: Settings): Promise<Check | "missing" | undefined> {
	if (secretsKey !== undefined) return undefined;
	const path = paths.secretsKey;
	return await exposure({
		...{ name: NAME, path, owner: `the service user (${serviceUid})`, uids: [serviceUid, 0] },
		mend: `chown ${serviceUid}:${serviceUid} ${path}; chmod 600 ${path}: the next start does so, too. Who could read it may have: another key (docs/SECURITY.md).`,
		instead: "Put the key itself there, or set BERTH_SECRETS_KEY.",
	});
}

/** Every start makes one: where there are records already, one was there, or was set, and they may be sealed with it. */
async function missing({ paths, embedded }: Settings, isAsked: boolean): Promise<Check> {
	const path = paths.secretsKey;
	if (isAsked) return ok(NAME, `${path} isn't there, and nothing is sealed; the next start makes it.`);
	if (embedded.durable && !(await hasFiles(paths.durableRedis))) return ok(NAME, `${path} isn't there yet; the first start makes it.`);
	return failed(
		NAME,
		`${path} isn't there, and the durable Redis, which can't be asked now, may have what is sealed with it.`,
		"Put it back (or set BERTH_SECRETS_KEY) before `berth up`, which is refused where something is sealed.",
	);
}

async function hasFiles(directory: string): Promise<boolean> {
	try {
		return (await readdir(directory)).length > 0;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}
