import { type Settings, sharedMeansOf } from "@berth/config";
import { lookAtStack } from "@berth/queue";
import { stackIdOf, Vault } from "@berth/registry";

/**
 * Whether this machine can be of the stack that is on its fast Redis, before anything is made for it.
 * @param say told what it waits for
 * @returns what the operator should hear, if anything. @throws Error with the setting that is another than theirs
 */
export async function lookAtOthers(settings: Settings, say: (progress: string) => void): Promise<string | undefined> {
	const vault = await Vault.open(settings.secretsKey, settings.paths.secretsKey);
	const shares = sharedMeansOf(settings, await stackIdOf(settings.durableRedisUrl), vault.keyIds);
	const silent = () => undefined;
	const logger = { debug: silent, info: (_: object, text: string) => say(text), warn: silent, error: silent };
	const { gateways } = await lookAtStack({ durableUrl: settings.durableRedisUrl, fastUrl: settings.fastRedisUrl, shares, logger });
	if (gateways > 0 || settings.roles.includes("gateway")) return undefined;
	return "warning: no gateway is on the Redis server of BERTH_FAST_REDIS_URL, and until one is this worker is given nothing: it has to be the same server as on the gateways' machines";
}
