import { HOUR_MS, MIB } from "@berth/contracts";
import { machineVariables } from "./machine-settings.js";
import { payloadStoreText } from "./payload-store.js";
import { loadSettings, type Settings } from "./settings.js";
import type { SettingName } from "./settings-table.js";
import { SUPERVISED_ENVIRONMENT } from "./supervised.js";
import { tracingVariables } from "./tracing-settings.js";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The settings as environment variables: `loadSettings(environmentOf(settings))` gives the same
 * settings in another process. Whole MiB of the memory budget survive; what is below doesn't.
 */
export function environmentOf(settings: Settings): Record<string, string> {
	const variables: Record<SettingName, string | undefined> = {
		BERTH_DATA_DIR: settings.dataDir,
		BERTH_HOST: settings.host,
		BERTH_PORT: String(settings.port),
		...machineVariables(settings),
		...connectionVariables(settings),
		BERTH_DURABLE_REDIS_URL: settings.embedded.durable ? undefined : settings.durableRedisUrl,
		BERTH_FAST_REDIS_URL: settings.embedded.fast ? undefined : settings.fastRedisUrl,
		BERTH_ADMIN_KEY_SHA256: settings.adminKeySha256,
		BERTH_METRICS_KEY_SHA256: settings.metricsKeySha256,
		BERTH_SERVICE_UID: String(settings.serviceUid),
		BERTH_SANDBOX_UID_BASE: String(settings.sandboxUidBase),
		BERTH_ENGINE: settings.engine,
		BERTH_DOCKER_SOCKET: settings.dockerSocket,
		BERTH_DOCKER_BUILDS: settings.dockerBuilds,
		BERTH_OCI_RUNTIME: settings.ociRuntime,
		BERTH_RUNSC: settings.runsc,
		BERTH_MEMORY_MIB: String(Math.floor(settings.memoryBudgetBytes / MIB)),
		BERTH_PREWARMED: String(settings.prewarmed),
		BERTH_PREWARMED_BUILDS: String(settings.prewarmedBuilds),
		BERTH_CRASHES_ALLOWED: String(settings.crashesAllowed),
		BERTH_NPM_REGISTRY: settings.npmRegistry,
		BERTH_PYPI_INDEX: settings.pypiIndex,
		BERTH_PACKAGE_REGISTRIES: settings.packageRegistries.length === 0 ? undefined : settings.packageRegistries.join(","),
		BERTH_PYPI_INDEXES: settings.pypiIndexes.length === 0 ? undefined : settings.pypiIndexes.join(","),
		BERTH_SECRETS_KEY: settings.secretsKey,
		BERTH_BUILD_TIMEOUT_MS: String(settings.buildTimeoutMs),
		BERTH_INSTALL_TIMEOUT_MS: String(settings.install.timeoutMs),
		BERTH_INSTALL_SILENCE_MS: String(settings.install.silenceMs),
		BERTH_IDLE_TTL_MS: String(settings.idleTtlMs),
		BERTH_RECORDS_HOURS: String(settings.recordsMs / HOUR_MS),
		BERTH_RECORDS_MIB: String(settings.recordBytes / MIB),
		BERTH_QUEUED_MIB: String(settings.storage.queuedBytes / MIB),
		BERTH_REQUESTS_MIB: String(settings.storage.requestBytes / MIB),
		BERTH_RESULTS_MIB: String(settings.storage.resultBytes / MIB),
		BERTH_LOGS_MIB: String(settings.storage.logBytes / MIB),
		BERTH_DELIVERIES_MIB: String(settings.storage.deliveryBytes / MIB),
		BERTH_PAYLOAD_STORE: settings.payloadStore && payloadStoreText(settings.payloadStore),
		BERTH_HOOK_EVENTS_HOURS: String(settings.hookEventsMs / HOUR_MS),
		BERTH_IDEMPOTENCY_HOURS: String(settings.idempotency.ms / HOUR_MS),
		BERTH_IDEMPOTENCY_MIB: String(settings.idempotency.bytes / MIB),
		BERTH_MAX_INFLIGHT: String(settings.maxInflight),
		...quotaVariables(settings),
		BERTH_REGISTRIES: settings.registries.length === 0 ? undefined : settings.registries.map(registryText).join(","),
		BERTH_IMAGE_REPOSITORY: settings.imageRepository && `${settings.imageRepository.host}/${settings.imageRepository.name}`,
		...{ BERTH_RESOLVER: settings.resolver, BERTH_EGRESS_CA_FILE: settings.egressCaFile },
		BERTH_CALLBACK_HOSTS: settings.callbackHosts.length === 0 ? undefined : settings.callbackHosts.join(","),
		BERTH_HOST_NETWORK: settings.allowsHostNetwork ? "permitted" : "refused",
		BERTH_APPARMOR_PROFILE: settings.apparmorProfile,
		BERTH_INSECURE_ALLOW: settings.insecureAllow.length === 0 ? undefined : settings.insecureAllow.join(","),
		BERTH_VOLUMES_MIB: String(settings.volumeBytes / MIB),
		BERTH_BINDS: bindsText(settings.binds),
		BERTH_IMAGES_MIB: settings.imageBytes === undefined ? undefined : String(settings.imageBytes / MIB),
		BERTH_VERSIONS_KEPT: String(settings.versionsKept),
		BERTH_LOG_LEVEL: settings.logLevel,
		...tracingVariables(settings.tracing),
	};
	return Object.fromEntries(Object.entries(variables).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function connectionVariables({ tls, maxConnections, trustedProxies, ...settings }: Settings) {
	return {
		BERTH_BODY_MEMORY_MIB: String(settings.bodyMemoryBytes / MIB),
		BERTH_ANSWER_STALL_MS: String(settings.answerStallMs),
		BERTH_BODY_STALL_MS: String(settings.bodyStallMs),
		BERTH_GATEWAY_DRAIN_MS: String(settings.gatewayDrainMs),
		BERTH_TLS_CERT: tls?.certificate,
		BERTH_TLS_KEY: tls?.key,
		BERTH_TRUSTED_PROXIES: trustedProxies.length === 0 ? undefined : trustedProxies.join(","),
		BERTH_MAX_CONNECTIONS: String(maxConnections.total),
		BERTH_MAX_CONNECTIONS_PER_ADDRESS: String(maxConnections.perAddress),
	};
}

function quotaVariables({ maxQueued, quotas, interactiveReserve }: Settings) {
	return {
		BERTH_INTERACTIVE_RESERVE_PERCENT: String(Math.round(interactiveReserve * 100)),
		BERTH_MAX_QUEUED: String(maxQueued),
		BERTH_MAX_QUEUED_PROJECT: textOf(quotas.queued),
		BERTH_QUOTA_FUNCTIONS: textOf(quotas.functions),
		BERTH_QUOTA_CONCURRENCY: textOf(quotas.concurrency),
		BERTH_QUOTA_REQUESTS_PER_SECOND: textOf(quotas.requestsPerSecond),
		BERTH_QUOTA_BURST: textOf(quotas.burst),
		BERTH_QUOTA_IMAGE_MIB: textOf(quotas.imageMiB),
		BERTH_QUOTA_WARM_MIB: textOf(quotas.warmMiB),
	};
}

function textOf(value: number | undefined): string | undefined {
	return value === undefined ? undefined : String(value);
}

function bindsText(binds: Settings["binds"]): string | undefined {
	const pairs = Object.entries(binds).map(([name, path]) => `${name}=${path}`);
	return pairs.length === 0 ? undefined : pairs.join(",");
}

function registryText({ origin, login }: Settings["registries"][number]): string {
	if (login === undefined) return origin;
	return origin.replace("://", `://${encodeURIComponent(login.username)}:${encodeURIComponent(login.password)}@`);
}

/** Where Debian keeps programs, for a parent that was started without a PATH. */
const STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What every program needs of this process's environment: PATH and LANG. */
export function programEnvironment(env: Environment = process.env): Record<string, string> {
	const language = env["LANG"];
	return { PATH: env["PATH"] ?? STANDARD_PATH, ...(language === undefined ? {} : { LANG: language }) };
}

/** The whole environment of a process of the stack: its settings, PATH and LANG. Nothing else of this process's gets through. */
export function processEnvironment(settings: Settings, env: Environment = process.env): Record<string, string> {
	return { ...programEnvironment(env), ...environmentOf(settings) };
}

/** The same for a process that ends with its supervisor: with the mark that `exitWithParent` looks for. */
export function childEnvironment(settings: Settings, env: Environment = process.env): Record<string, string> {
	return { ...processEnvironment(settings, env), ...SUPERVISED_ENVIRONMENT };
}

/**
 * The settings of this process's environment with some of them replaced: what a command line says.
 * @param flags what it calls them
 * @throws SettingsError naming each wrong variable, or its flag
 */
export function settingsWith(
	overrides: Readonly<Partial<Record<SettingName, string>>>,
	env: Environment = process.env,
	flags: Readonly<Partial<Record<SettingName, string>>> = {},
): Settings {
	return loadSettings({ ...env, ...overrides }, flags);
}
