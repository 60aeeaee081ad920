import { availableParallelism, totalmem } from "node:os";
import { HOUR_MS, LIMITS, MIB, type Quotas, type WaivableLimit } from "@berth/contracts";
import { type DataPaths, pathsOf } from "./data-paths.js";
import { type MachineSettings, machineSettingsOf } from "./machine-settings.js";
import { misspelt } from "./misspelt.js";
import type { BucketAccess } from "./payload-store.js";
import type { RegistryAccess, RepositoryPlace } from "./setting-values.js";
import { describe, SettingsError } from "./settings-error.js";
import { type SettingName, type SettingValues, settingsSchema } from "./settings-table.js";
import { LISTEN_FDS, OUTER_MOUNTS, SUPERVISED } from "./supervised.js";
import { type TracingSettings, tracingOf } from "./tracing-settings.js";
import { USER_VARIABLES } from "./user-settings.js";

/** All that anything of ours reads: with this prefix there is nothing else. */
const KNOWN_NAMES = [...Object.keys(settingsSchema.shape), ...USER_VARIABLES, SUPERVISED, OUTER_MOUNTS, LISTEN_FDS];

/** The settings of one process, checked and frozen. */
export interface Settings extends MachineSettings {
	readonly dataDir: string;
	readonly host: string;
	readonly port: number;
	/** Paths of the gateway's certificate and key; absent: plain HTTP. */
	readonly tls?: { readonly certificate: string; readonly key: string };
	readonly durableRedisUrl: string;
	readonly fastRedisUrl: string;
	/** Whether each Redis is ours to supervise. */
	readonly embedded: { readonly durable: boolean; readonly fast: boolean };
	/** SHA-256 of the operator's key; absent: the first key is made by itself. */
	readonly adminKeySha256?: string;
	/** SHA-256 of a key that metrics are read with. */
	readonly metricsKeySha256?: string;
	readonly serviceUid: number;
	readonly sandboxUidBase: number;
	readonly engine: "oci" | "docker";
	readonly dockerSocket: string;
	readonly dockerBuilds: "refused" | "offline" | "online";
	readonly ociRuntime: string;
	/** `auto`, `none` or a path. */
	readonly runsc: string;
	readonly memoryBudgetBytes: number;
	readonly prewarmed: number;
	readonly prewarmedBuilds: number;
	readonly crashesAllowed: number;
	/** The package registry, with a `/` at its end. */
	readonly npmRegistry: string;
	/** The index of Python packages, with a `/` at its end. */
	readonly pypiIndex: string;
	/** Others that projects may use, one for each host. */
	readonly packageRegistries: readonly string[];
	/** Indexes of Python packages that projects may use beside `pypiIndex`, one for each host. */
	readonly pypiIndexes: readonly string[];
	/** What secrets are sealed with, 64 hex digits; absent: the file has it. */
	readonly secretsKey?: string;
	/** How long the build of a source may take, milliseconds. */
	readonly buildTimeoutMs: number;
	/** Of an installation, and of a registry that says nothing during one. */
	readonly install: { readonly timeoutMs: number; readonly silenceMs: number };
	readonly idleTtlMs: number;
	/** What may be held on disk for invocations. */
	readonly storage: {
		readonly queuedBytes: number;
		readonly requestBytes: number;
		readonly resultBytes: number;
		readonly logBytes: number;
		readonly deliveryBytes: number;
	};
	/** How long the record of a settled background invocation is kept, and what those of a project may take of the durable Redis. */
	readonly recordsMs: number;
	readonly recordBytes: number;
	/** How long a hook's log keeps a delivery. */
	readonly hookEventsMs: number;
	/** How long an idempotency key is remembered, and what those of a project may take of the durable Redis. */
	readonly idempotency: { readonly ms: number; readonly bytes: number };
	readonly maxInflight: number;
	/** Background invocations of one function that may be queued. */
	readonly maxQueued: number;
	/** What bounds projects for which nothing else was set. */
	readonly quotas: Quotas;
	/** Of what a project may have in flight at once, the part that its background work leaves to those who wait, 0 to 1. */
	readonly interactiveReserve: number;
	readonly bodyMemoryBytes: number;
	readonly answerStallMs: number;
	readonly bodyStallMs: number;
	/** How long a gateway that is told to stop goes on serving, while it says that it isn't ready. */
	readonly gatewayDrainMs: number;
	/** Where what waits in the background and what came of it is kept; absent: in directories of this node. */
	readonly payloadStore?: BucketAccess;
	/** OCI registries that may be used: host and port as images are named, origin, and the login. */
	readonly registries: readonly RegistryAccess[];
	/** Where copies of all images are: a host of `registries`, and a repository. */
	readonly imageRepository?: RepositoryPlace;
	readonly resolver?: string;
	/** A file with certificates that hosts which secrets are sent to are held against, too. */
	readonly egressCaFile?: string;
	/** Hosts that callbacks may go to wherever they are: as `URL.hostname` or `URL.host` has them. */
	readonly callbackHosts: readonly string[];
	/** Networks of proxies whose `X-Forwarded-For` is believed. */
	readonly trustedProxies: readonly string[];
	/** To a gateway, at the same time. */
	readonly maxConnections: { readonly total: number; readonly perAddress: number };
	readonly allowsHostNetwork: boolean;
	/** Limits that the host may be unable to enforce. */
	readonly insecureAllow: readonly WaivableLimit[];
	/** AppArmor's, for sandboxes; undefined: none. */
	readonly apparmorProfile?: string;
	readonly volumeBytes: number;
	/** Paths of directories, by the names that functions have them by. */
	readonly binds: Readonly<Record<string, string>>;
	/** What images may hold on disk; undefined: as much as comes. */
	readonly imageBytes?: number;
	/** Versions of a function, the newest, that stay whatever their age. */
	readonly versionsKept: number;
	readonly tracing: TracingSettings;
	readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
	readonly cores: number;
	readonly paths: DataPaths;
}

/**
 * Reads and checks the settings: what the environment says, else the default. An empty variable counts as absent.
 * @param flags what a command line calls those that it has set: a wrong one is named so
 * @throws SettingsError naming each wrong variable, its value and what is allowed, and each that is misspelt
 */
export function loadSettings(
	env: Readonly<Record<string, string | undefined>> = process.env,
	flags: Readonly<Partial<Record<SettingName, string>>> = {},
): Settings {
	const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
	const parsed = settingsSchema.safeParse(given);
	const wrong = [
		...(parsed.success ? [] : parsed.error.issues.map((issue) => describe(issue, given, flags))),
		...misspelt(given, KNOWN_NAMES),
	];
	if (wrong.length > 0 || !parsed.success) throw new SettingsError(wrong.join("\n"));
	const value = parsed.data;
	const { BERTH_IMAGE_REPOSITORY: imageRepository, BERTH_REGISTRIES: registries = [] } = value;
	if (imageRepository !== undefined) requireListed(imageRepository, registries);
	const paths = pathsOf(value.BERTH_DATA_DIR);
	return Object.freeze({
		dataDir: value.BERTH_DATA_DIR,
		host: value.BERTH_HOST,
		port: value.BERTH_PORT,
		...machineSettingsOf(value),
		...tlsOf(value),
		durableRedisUrl: value.BERTH_DURABLE_REDIS_URL ?? `unix://${paths.durableSocket}`,
		fastRedisUrl: value.BERTH_FAST_REDIS_URL ?? `unix://${paths.fastSocket}`,
		embedded: Object.freeze({ durable: value.BERTH_DURABLE_REDIS_URL === undefined, fast: value.BERTH_FAST_REDIS_URL === undefined }),
		...keysOf(value),
		serviceUid: value.BERTH_SERVICE_UID,
		sandboxUidBase: value.BERTH_SANDBOX_UID_BASE,
		engine: value.BERTH_ENGINE,
		dockerSocket: value.BERTH_DOCKER_SOCKET,
		dockerBuilds: value.BERTH_DOCKER_BUILDS,
		ociRuntime: value.BERTH_OCI_RUNTIME,
		runsc: value.BERTH_RUNSC,
		memoryBudgetBytes: value.BERTH_MEMORY_MIB === undefined ? defaultMemoryBytes() : value.BERTH_MEMORY_MIB * MIB,
		...poolOf(value),
		npmRegistry: value.BERTH_NPM_REGISTRY.replace(/\/?$/, "/"),
		pypiIndex: value.BERTH_PYPI_INDEX.replace(/\/?$/, "/"),
		packageRegistries: Object.freeze(value.BERTH_PACKAGE_REGISTRIES ?? []),
		pypiIndexes: Object.freeze(value.BERTH_PYPI_INDEXES ?? []),
		...(value.BERTH_SECRETS_KEY === undefined ? {} : { secretsKey: value.BERTH_SECRETS_KEY }),
		buildTimeoutMs: value.BERTH_BUILD_TIMEOUT_MS,
		install: Object.freeze({ timeoutMs: value.BERTH_INSTALL_TIMEOUT_MS, silenceMs: value.BERTH_INSTALL_SILENCE_MS }),
		storage: storageOf(value),
		...(value.BERTH_PAYLOAD_STORE === undefined ? {} : { payloadStore: value.BERTH_PAYLOAD_STORE }),
		recordsMs: value.BERTH_RECORDS_HOURS * HOUR_MS,
		recordBytes: value.BERTH_RECORDS_MIB * MIB,
		...keptOf(value),
		maxInflight: value.BERTH_MAX_INFLIGHT,
		...quotasIn(value),
		...connectionsOf(value),
		registries: Object.freeze(registries),
		...(imageRepository === undefined ? {} : { imageRepository }),
		...waysOutOf(value),
		...proxiesAndHosts(value),
		...permittedOf(value),
		volumeBytes: value.BERTH_VOLUMES_MIB * MIB,
		binds: Object.freeze(value.BERTH_BINDS ?? {}),
		...(value.BERTH_IMAGES_MIB === undefined ? {} : { imageBytes: value.BERTH_IMAGES_MIB * MIB }),
		versionsKept: value.BERTH_VERSIONS_KEPT,
		tracing: tracingOf(value),
		logLevel: value.BERTH_LOG_LEVEL,
		cores: availableParallelism(),
		paths,
	});
}

/** What a gateway has for its clients, and how long for those that are slow, or are to leave it. */
function connectionsOf(value: SettingValues): Pick<Settings, "bodyMemoryBytes" | "answerStallMs" | "bodyStallMs" | "gatewayDrainMs"> {
	return {
		bodyMemoryBytes: value.BERTH_BODY_MEMORY_MIB * MIB,
		answerStallMs: value.BERTH_ANSWER_STALL_MS,
		bodyStallMs: value.BERTH_BODY_STALL_MS,
		gatewayDrainMs: value.BERTH_GATEWAY_DRAIN_MS,
	};
}

/** How a node keeps sandboxes. */
function poolOf(value: SettingValues): Pick<Settings, "prewarmed" | "prewarmedBuilds" | "crashesAllowed" | "idleTtlMs"> {
	return {
		prewarmed: value.BERTH_PREWARMED,
		prewarmedBuilds: value.BERTH_PREWARMED_BUILDS,
		crashesAllowed: value.BERTH_CRASHES_ALLOWED,
		idleTtlMs: value.BERTH_IDLE_TTL_MS,
	};
}

/** How functions' ways out look for hosts, and know them. */
function waysOutOf({
	BERTH_RESOLVER: resolver,
	BERTH_EGRESS_CA_FILE: egressCaFile,
}: SettingValues): Pick<Settings, "resolver" | "egressCaFile"> {
	return { ...(resolver === undefined ? {} : { resolver }), ...(egressCaFile === undefined ? {} : { egressCaFile }) };
}

/** @throws SettingsError */
function requireListed({ host }: RepositoryPlace, registries: readonly RegistryAccess[]): void {
	if (registries.some((one) => one.host === host)) return;
	throw new SettingsError(`BERTH_IMAGE_REPOSITORY is on ${host}, which BERTH_REGISTRIES doesn't list: put it there, with its login`);
}

/** Half of the machine's, or what one function may have where that is more. */
function defaultMemoryBytes(): number {
	const all = totalmem();
	return Math.max(Math.floor(all / 2), Math.min(LIMITS.memoryMiB.max * MIB, all));
}

/** @throws SettingsError */
function tlsOf({ BERTH_TLS_CERT: certificate, BERTH_TLS_KEY: key }: SettingValues): Pick<Settings, "tls"> {
	if (certificate === undefined && key === undefined) return {};
	if (certificate !== undefined && key !== undefined) return { tls: Object.freeze({ certificate, key }) };
	throw new SettingsError(
		`BERTH_TLS_CERT and BERTH_TLS_KEY go together: ${key === undefined ? "BERTH_TLS_KEY" : "BERTH_TLS_CERT"} is missing`,
	);
}

function storageOf(value: SettingValues): Settings["storage"] {
	return Object.freeze({
		queuedBytes: value.BERTH_QUEUED_MIB * MIB,
		requestBytes: value.BERTH_REQUESTS_MIB * MIB,
		resultBytes: value.BERTH_RESULTS_MIB * MIB,
		logBytes: value.BERTH_LOGS_MIB * MIB,
		deliveryBytes: value.BERTH_DELIVERIES_MIB * MIB,
	});
}

function keysOf(value: SettingValues): Pick<Settings, "adminKeySha256" | "metricsKeySha256"> {
	const { BERTH_ADMIN_KEY_SHA256: admin, BERTH_METRICS_KEY_SHA256: metrics } = value;
	return { ...(admin === undefined ? {} : { adminKeySha256: admin }), ...(metrics === undefined ? {} : { metricsKeySha256: metrics }) };
}

function quotasIn(value: SettingValues): Pick<Settings, "maxQueued" | "quotas" | "interactiveReserve"> {
	const {
		BERTH_MAX_QUEUED: maxQueued,
		BERTH_MAX_QUEUED_PROJECT: queued,
		BERTH_QUOTA_FUNCTIONS: functions,
		BERTH_QUOTA_REQUESTS_PER_SECOND: requestsPerSecond,
		BERTH_QUOTA_BURST: burst,
		BERTH_QUOTA_CONCURRENCY: concurrency,
		BERTH_QUOTA_IMAGE_MIB: imageMiB,
		BERTH_QUOTA_WARM_MIB: warmMiB,
	} = value;
	const quotas = Object.freeze({
		queued,
		warmMiB,
		...(functions === undefined ? {} : { functions }),
		...(requestsPerSecond === undefined ? {} : { requestsPerSecond }),
		...(burst === undefined ? {} : { burst }),
		...(concurrency === undefined ? {} : { concurrency }),
		...(imageMiB === undefined ? {} : { imageMiB }),
	});
	return { maxQueued, quotas, interactiveReserve: value.BERTH_INTERACTIVE_RESERVE_PERCENT / 100 };
}

function keptOf(value: SettingValues): Pick<Settings, "hookEventsMs" | "idempotency"> {
	const idempotency = Object.freeze({ ms: value.BERTH_IDEMPOTENCY_HOURS * HOUR_MS, bytes: value.BERTH_IDEMPOTENCY_MIB * MIB });
	return { hookEventsMs: value.BERTH_HOOK_EVENTS_HOURS * HOUR_MS, idempotency };
}

function permittedOf(value: SettingValues): Pick<Settings, "allowsHostNetwork" | "insecureAllow" | "apparmorProfile"> {
	const { BERTH_APPARMOR_PROFILE: apparmorProfile } = value;
	return {
		...(apparmorProfile === undefined ? {} : { apparmorProfile }),
		allowsHostNetwork: value.BERTH_HOST_NETWORK === "permitted",
		insecureAllow: Object.freeze(value.BERTH_INSECURE_ALLOW ?? []),
	};
}

function proxiesAndHosts(value: SettingValues): Pick<Settings, "callbackHosts" | "trustedProxies" | "maxConnections"> {
	return {
		maxConnections: Object.freeze({ total: value.BERTH_MAX_CONNECTIONS, perAddress: value.BERTH_MAX_CONNECTIONS_PER_ADDRESS }),
		callbackHosts: Object.freeze(value.BERTH_CALLBACK_HOSTS ?? []),
		trustedProxies: Object.freeze(value.BERTH_TRUSTED_PROXIES ?? []),
	};
}
