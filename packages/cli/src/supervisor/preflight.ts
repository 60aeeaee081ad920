import type { Settings } from "@berth/config";
import { checkAppArmor } from "../doctor/apparmor.js";
import { checkCgroups } from "../doctor/cgroups.js";
import type { Check } from "../doctor/check.js";
import { checkEngine } from "../doctor/engine.js";
import { seccomp } from "../doctor/kernel.js";
import { runtime } from "../doctor/programs.js";
import { checkConnection } from "../doctor/redis-settings.js";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { tryImageRepository } from "./image-repository.js";
import { requireNone } from "./obstacle.js";
import { placeObstacle } from "./place.js";
import { listenObstacle } from "./port.js";
import { readSupervisorState } from "./state-file.js";

/**
 * Refuses a start that can't succeed before anything is made for it. What an earlier supervisor left may hold the port
 * yet: that is asked once it is gone. @throws CommandFailure
 */
export async function preflight(settings: Settings, say: (text: string) => void): Promise<void> {
	requireNone(await placeObstacle(settings));
	for (const check of await checksOf(settings))
		if (check.status === "failed") throw new CommandFailure(EXIT.failed, `${check.found} ${check.mend}`);
	if (isOpen(settings))
		say(
			`${settings.host} isn't this machine alone, and the gateway speaks plain HTTP there: API keys can be read on the way. Set BERTH_TLS_CERT and BERTH_TLS_KEY, or BERTH_TRUSTED_PROXIES where a proxy in front speaks TLS.`,
		);
	await tryImageRepository(settings, say);
	if ((await readSupervisorState(settings.paths)) === undefined) requireNone(await listenObstacle(settings.host, settings.port));
}

/** Whether keys may come over a network as they are. */
function isOpen({ host, tls, trustedProxies }: Settings): boolean {
	return tls === undefined && trustedProxies.length === 0 && !/^(?:127\.|::1$|localhost$)/.test(host);
}

/** What is somebody else's to provide: what makes the sandboxes, and servers of the operator's. */
async function checksOf(settings: Settings): Promise<readonly Check[]> {
	const { embedded, durableRedisUrl, fastRedisUrl } = settings;
	const urls = [
		...(embedded.durable ? [] : [["durable", durableRedisUrl] as const]),
		...(embedded.fast ? [] : [["fast", fastRedisUrl] as const]),
	];
	const limits =
		settings.engine === "docker" ? [] : [...(await checkCgroups(settings.insecureAllow)), await seccomp(settings.insecureAllow)];
	return await Promise.all([
		...limits,
		...(settings.apparmorProfile === undefined ? [] : [checkAppArmor(settings.apparmorProfile)]),
		settings.engine === "docker" ? checkEngine(settings) : runtime(settings.ociRuntime),
		...urls.map(([role, url]) => checkConnection(role, url)),
	]);
}
