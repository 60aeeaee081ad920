import type { Settings } from "./settings.js";
import { SUPERVISED_ENVIRONMENT } from "./supervised.js";

const MIB = 1024 * 1024;

/** The settings as a child of the supervisor reads them: the inverse of `loadSettings`, and nothing else of our own environment but PATH. */
export function environmentOf(settings: Settings): Record<string, string> {
	return {
		PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
		BERTH_DATA_DIR: settings.dataDir,
		BERTH_HOST: settings.host,
		BERTH_PORT: String(settings.port),
		...(settings.embedded.durable ? {} : { BERTH_DURABLE_REDIS_URL: settings.durableRedisUrl }),
		...(settings.embedded.fast ? {} : { BERTH_FAST_REDIS_URL: settings.fastRedisUrl }),
		BERTH_SERVICE_UID: String(settings.serviceUid),
		BERTH_SANDBOX_UID_BASE: String(settings.sandboxUidBase),
		BERTH_OCI_RUNTIME: settings.ociRuntime,
		BERTH_MEMORY_MIB: String(Math.floor(settings.memoryBudgetBytes / MIB)),
		BERTH_PREWARMED: String(settings.prewarmed),
		BERTH_PREWARMED_BUILDS: String(settings.prewarmedBuilds),
		BERTH_IDLE_TTL_MS: String(settings.idleTtlMs),
		BERTH_MAX_INFLIGHT: String(settings.maxInflight),
		BERTH_LOG_LEVEL: settings.logLevel,
		...SUPERVISED_ENVIRONMENT,
	};
}

/** What a client on this machine is told by its environment. */
export function clientEnvironment(): { readonly url?: string; readonly key?: string; readonly verbose: boolean; readonly colour: boolean } {
	const { BERTH_URL: url, BERTH_API_KEY: key, NO_COLOR: noColour } = process.env;
	return { ...(url === undefined ? {} : { url }), ...(key === undefined ? {} : { key }), verbose: process.env["BERTH_DEBUG"] === "1", colour: noColour === undefined };
}
