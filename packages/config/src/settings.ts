import { availableParallelism, totalmem } from "node:os";
import { DEPENDENCY_LIMITS, HOUR_MS, LIMITS, MIB, VOLUMES_MIB } from "@berth/contracts";
import { z } from "zod";
import { type DataPaths, pathsOf } from "./data-paths.js";
import { misspelt } from "./misspelt.js";
import { type BucketAccess, payloadStore } from "./payload-store.js";
import {
	binds,
	hosts,
	networks,
	packageRegistries,
	type RegistryAccess,
	type RepositoryPlace,
	registries,
	repository,
} from "./setting-values.js";
import { describe, SettingsError } from "./settings-error.js";
import { SUPERVISED } from "./supervised.js";
import { type TracingSettings, tracingOf, tracingSettings } from "./tracing-settings.js";
import { USER_VARIABLES } from "./user-settings.js";

/** Longest data directory, bytes: a socket's path below it has room for 107 (sun_path), and the longest is an agent's. */
const DATA_DIR_BYTES = 64;

const redisUrl = z.string().regex(/^(?:rediss?:\/\/[^/?#]+|unix:\/\/\/[^?#]+)/, "redis://host, rediss://host or unix:///path");
const whole = (min: number, max: number) =>
	z.coerce
		.number(`a whole number from ${min} to ${max}`)
		.int(`a whole number from ${min} to ${max}`)
		.min(min, `at least ${min}`)
		.max(max, `at most ${max}`);

/**
 * Every setting of every process: its environment variable, meaning, unit and default. This package
 * is the only reader of the environment. docs/settings.md has the same table (a test compares them).
 */
export const settingsSchema = z.object({
	/** Where everything is kept. It and its parents must be searchable (o+x). */
	BERTH_DATA_DIR: z
		.string()
		.startsWith("/", "an absolute path")
		.refine((path) => Buffer.byteLength(path) <= DATA_DIR_BYTES, `at most ${DATA_DIR_BYTES} bytes: sockets below it have no room for more`)
		.default("/var/lib/berth"),
	/** Address and port of the gateway. Only loopback unless told otherwise. */
	BERTH_HOST: z.string().min(1).default("127.0.0.1"),
	BERTH_PORT: whole(0, 65_535).default(8080),
	/** Redis servers of your own: redis://, rediss:// or unix://. Default: the embedded ones. */
	BERTH_DURABLE_REDIS_URL: redisUrl.optional(),
	BERTH_FAST_REDIS_URL: redisUrl.optional(),
	/** SHA-256 (hex) of an API key that is let in; it takes the place of the one set before. Default: the first key is made and shown once. */
	BERTH_ADMIN_KEY_SHA256: z
		.string()
		.regex(/^[0-9a-f]{64}$/, "64 hex digits")
		.optional(),
	/** Numeric user that gateway, worker and Redis run as. */
	BERTH_SERVICE_UID: whole(1, 65_533).default(64_770),
	/** First host uid of sandboxes: 4,096 ranges of 65,536 from here. */
	BERTH_SANDBOX_UID_BASE: whole(65_536, 0xf000_0000).default(0x7000_0000),
	/** What makes sandboxes: an OCI runtime directly, or a Docker Engine. */
	BERTH_ENGINE: z.enum(["oci", "docker"]).default("oci"),
	/** The Docker Engine's unix socket. Only with the engine `docker`. */
	BERTH_DOCKER_SOCKET: z.string().startsWith("/", "an absolute path").default("/run/docker.sock"),
	/** Whether functions may be Dockerfiles, and whether what these run has the Engine's network. Only with the engine `docker`. */
	BERTH_DOCKER_BUILDS: z.enum(["refused", "offline", "online"], "refused, offline or online").default("refused"),
	/** crun, runc, or a path; `auto` takes the first of them that is installed. */
	BERTH_OCI_RUNTIME: z.string().default("auto"),
	/** Memory that sandboxes of this node may hold together, MiB. Default: half of the machine's. */
	BERTH_MEMORY_MIB: whole(256, 1 << 24).optional(),
	/** Prewarmed sandboxes of the main runtime and the default memory class; other runtimes keep one. */
	BERTH_PREWARMED: whole(0, 256).default(4),
	/** Prewarmed build sandboxes. */
	BERTH_PREWARMED_BUILDS: whole(0, 16).default(1),
	/** Where the dependencies of functions are installed from, and from nowhere else. */
	BERTH_NPM_REGISTRY: z
		.string()
		.regex(/^https?:\/\/[^/?#@\s]+(?:\/[\w.~%-]+)*\/?$/, "http:// or https://, a host, and perhaps a path, without a name or password")
		.default("https://registry.npmjs.org"),
	/** The index that packages of Python functions are installed from, and from nowhere else (pypi.org's has its files at files.pythonhosted.org). */
	BERTH_PYPI_INDEX: z
		.string()
		.regex(/^https?:\/\/[^/?#@\s]+(?:\/[\w.~%+-]+)*\/?$/, "http:// or https://, a host, and perhaps a path, without a name or password")
		.default("https://pypi.org/simple"),
	/** Package registries that projects may use beside that one, each with a login of their own: URLs, several with commas between. */
	BERTH_PACKAGE_REGISTRIES: packageRegistries.optional(),
	/** Indexes of Python packages that projects may use beside the one above, in the same way. */
	BERTH_PYPI_INDEXES: packageRegistries.optional(),
	/** Key that secrets are sealed with on disk. Default: one is made at the first start, and kept in secrets.key. */
	BERTH_SECRETS_KEY: z
		.string()
		.regex(/^[0-9a-f]{64}$/, "64 hex digits")
		.optional(),
	/** How long an installation of dependencies may take, milliseconds. */
	BERTH_INSTALL_TIMEOUT_MS: whole(1000, 600_000).default(DEPENDENCY_LIMITS.installMs),
	/** How long the package registry may say nothing during one, milliseconds. */
	BERTH_INSTALL_SILENCE_MS: whole(500, 600_000).default(DEPENDENCY_LIMITS.silenceMs),
	/** Idle time after which a warm sandbox is removed, milliseconds. */
	BERTH_IDLE_TTL_MS: whole(100, 0x7fff_ffff).default(600_000),
	/** How long the record of a background invocation is kept with its result once it is settled, hours; dead letters have a week. */
	BERTH_RECORDS_HOURS: whole(1, 168).default(24),
	/** What those of a project may take of the durable Redis, MiB; beyond it the oldest go sooner. Dead letters aren't among them. */
	BERTH_RECORDS_MIB: whole(16, 1 << 20).default(256),
	/** Bodies above 4 KiB of background invocations that haven't run, MiB; beyond it new ones are refused. */
	BERTH_QUEUED_MIB: whole(64, 1 << 24).default(4096),
	/** The same of those that have run, for replays, MiB; beyond it the oldest are removed. */
	BERTH_REQUESTS_MIB: whole(64, 1 << 24).default(2048),
	/** Results above 4 KiB of background invocations, MiB; beyond it the oldest are removed. */
	BERTH_RESULTS_MIB: whole(64, 1 << 24).default(2048),
	/** Logs above 8 KiB (4 KiB in the background), MiB; beyond it the oldest are removed. */
	BERTH_LOGS_MIB: whole(64, 1 << 24).default(1024),
	/** Bodies above 4 KiB of deliveries to hooks, MiB; beyond it the oldest are removed. */
	BERTH_DELIVERIES_MIB: whole(64, 1 << 24).default(1024),
	/** Bucket of an S3-compatible store for the bodies, results, logs and deliveries that these are about. Default: directories of this node. */
	BERTH_PAYLOAD_STORE: payloadStore.optional(),
	/** How long a hook's log keeps a delivery, hours. */
	BERTH_HOOK_EVENTS_HOURS: whole(1, 8760).default(168),
	/** How long an idempotency key is remembered, hours. Answers above 4 KiB are results, which stay for a day. */
	BERTH_IDEMPOTENCY_HOURS: whole(1, 168).default(24),
	/** Invocations that are waited for in a gateway, beyond which it answers 503; and those a worker runs at a time, a quarter of them background. */
	BERTH_MAX_INFLIGHT: whole(1, 100_000).default(1024),
	/** Background invocations of one function that may be queued, beyond which new ones are answered 429; and of one project. */
	BERTH_MAX_QUEUED: whole(1, 100_000_000).default(200_000),
	BERTH_MAX_QUEUED_PROJECT: whole(1, 100_000_000).default(1_000_000),
	/** Memory for request bodies that arrive in a gateway, and as much again for answers that aren't taken yet, MiB. */
	BERTH_BODY_MEMORY_MIB: whole(64, 1 << 20).default(256),
	/** How long a client may take nothing of its answer before it is cut off, milliseconds. */
	BERTH_ANSWER_STALL_MS: whole(1000, 3_600_000).default(30_000),
	/** OCI registries that images may be pushed to and pulled from, with logins. */
	BERTH_REGISTRIES: registries.optional(),
	/** Repository, on one of those, that the image and source of every version is pushed to, and that is asked for what is missing here. */
	BERTH_IMAGE_REPOSITORY: repository.optional(),
	/** IPv4 address of the resolver that functions with a network ask. Default: the host's first one that isn't on its loopback. */
	BERTH_RESOLVER: z.ipv4("an IPv4 address").optional(),
	/** Hosts that callbacks may be posted to although they aren't public, and without TLS: `host` or `host:port`, several with commas between. */
	BERTH_CALLBACK_HOSTS: hosts.optional(),
	/** Proxies in front of the gateway whose `X-Forwarded-For` is believed: addresses and networks, several with commas between. */
	BERTH_TRUSTED_PROXIES: networks.optional(),
	/** Whether functions may have `network: host`, this machine's own. */
	BERTH_HOST_NETWORK: z.enum(["permitted", "refused"], "permitted or refused").default("refused"),
	/** What all volumes of the node may have together, MiB: their space is taken when they are made. */
	BERTH_VOLUMES_MIB: whole(0, 1 << 24).default(VOLUMES_MIB),
	/** Directories of this machine that functions may have read-only, by names that manifests use. */
	BERTH_BINDS: binds.optional(),
	/** Blobs of images, MiB; beyond it what can be had again goes. Default: as much as comes. */
	BERTH_IMAGES_MIB: whole(256, 1 << 24).optional(),
	/** Versions of a function that stay whatever their age, the newest; beyond it those go that are older than a day, that no alias leads to and of which nothing may wait. */
	BERTH_VERSIONS_KEPT: whole(10, 100_000).default(100),
	BERTH_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
	...tracingSettings,
});

/** All that anything of ours reads: with this prefix there is nothing else. */
const KNOWN_NAMES = [...Object.keys(settingsSchema.shape), ...USER_VARIABLES, SUPERVISED];

/** The environment variables that are settings. */
export type SettingName = keyof z.input<typeof settingsSchema>;

/** The settings of one process, checked and frozen. */
export interface Settings {
	readonly dataDir: string;
	readonly host: string;
	readonly port: number;
	readonly durableRedisUrl: string;
	readonly fastRedisUrl: string;
	/** Whether each Redis is ours to supervise. */
	readonly embedded: { readonly durable: boolean; readonly fast: boolean };
	/** SHA-256 of the operator's key; absent: the first key is made by itself. */
	readonly adminKeySha256?: string;
	readonly serviceUid: number;
	readonly sandboxUidBase: number;
	readonly engine: "oci" | "docker";
	readonly dockerSocket: string;
	readonly dockerBuilds: "refused" | "offline" | "online";
	readonly ociRuntime: string;
	readonly memoryBudgetBytes: number;
	readonly prewarmed: number;
	readonly prewarmedBuilds: number;
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
	/** How long an idempotency key is remembered. */
	readonly idempotencyMs: number;
	readonly maxInflight: number;
	readonly maxQueued: { readonly perFunction: number; readonly perProject: number };
	readonly bodyMemoryBytes: number;
	readonly answerStallMs: number;
	/** Where what waits in the background and what came of it is kept; absent: in directories of this node. */
	readonly payloadStore?: BucketAccess;
	/** OCI registries that may be used: host and port as images are named, origin, and the login. */
	readonly registries: readonly RegistryAccess[];
	/** Where copies of all images are: a host of `registries`, and a repository. */
	readonly imageRepository?: RepositoryPlace;
	readonly resolver?: string;
	/** Hosts that callbacks may go to wherever they are: as `URL.hostname` or `URL.host` has them. */
	readonly callbackHosts: readonly string[];
	/** Networks of proxies whose `X-Forwarded-For` is believed. */
	readonly trustedProxies: readonly string[];
	readonly allowsHostNetwork: boolean;
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
		durableRedisUrl: value.BERTH_DURABLE_REDIS_URL ?? `unix://${paths.durableSocket}`,
		fastRedisUrl: value.BERTH_FAST_REDIS_URL ?? `unix://${paths.fastSocket}`,
		embedded: Object.freeze({ durable: value.BERTH_DURABLE_REDIS_URL === undefined, fast: value.BERTH_FAST_REDIS_URL === undefined }),
		...(value.BERTH_ADMIN_KEY_SHA256 === undefined ? {} : { adminKeySha256: value.BERTH_ADMIN_KEY_SHA256 }),
		serviceUid: value.BERTH_SERVICE_UID,
		sandboxUidBase: value.BERTH_SANDBOX_UID_BASE,
		engine: value.BERTH_ENGINE,
		dockerSocket: value.BERTH_DOCKER_SOCKET,
		dockerBuilds: value.BERTH_DOCKER_BUILDS,
		ociRuntime: value.BERTH_OCI_RUNTIME,
		memoryBudgetBytes: value.BERTH_MEMORY_MIB === undefined ? defaultMemoryBytes() : value.BERTH_MEMORY_MIB * MIB,
		prewarmed: value.BERTH_PREWARMED,
		prewarmedBuilds: value.BERTH_PREWARMED_BUILDS,
		npmRegistry: value.BERTH_NPM_REGISTRY.replace(/\/?$/, "/"),
		pypiIndex: value.BERTH_PYPI_INDEX.replace(/\/?$/, "/"),
		packageRegistries: Object.freeze(value.BERTH_PACKAGE_REGISTRIES ?? []),
		pypiIndexes: Object.freeze(value.BERTH_PYPI_INDEXES ?? []),
		...(value.BERTH_SECRETS_KEY === undefined ? {} : { secretsKey: value.BERTH_SECRETS_KEY }),
		install: Object.freeze({ timeoutMs: value.BERTH_INSTALL_TIMEOUT_MS, silenceMs: value.BERTH_INSTALL_SILENCE_MS }),
		idleTtlMs: value.BERTH_IDLE_TTL_MS,
		storage: storageOf(value),
		...(value.BERTH_PAYLOAD_STORE === undefined ? {} : { payloadStore: value.BERTH_PAYLOAD_STORE }),
		recordsMs: value.BERTH_RECORDS_HOURS * HOUR_MS,
		recordBytes: value.BERTH_RECORDS_MIB * MIB,
		...keptOf(value),
		maxInflight: value.BERTH_MAX_INFLIGHT,
		maxQueued: Object.freeze({ perFunction: value.BERTH_MAX_QUEUED, perProject: value.BERTH_MAX_QUEUED_PROJECT }),
		bodyMemoryBytes: value.BERTH_BODY_MEMORY_MIB * MIB,
		answerStallMs: value.BERTH_ANSWER_STALL_MS,
		registries: Object.freeze(registries),
		...(imageRepository === undefined ? {} : { imageRepository }),
		...(value.BERTH_RESOLVER === undefined ? {} : { resolver: value.BERTH_RESOLVER }),
		...proxiesAndHosts(value),
		allowsHostNetwork: value.BERTH_HOST_NETWORK === "permitted",
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

function storageOf(value: z.output<typeof settingsSchema>): Settings["storage"] {
	return Object.freeze({
		queuedBytes: value.BERTH_QUEUED_MIB * MIB,
		requestBytes: value.BERTH_REQUESTS_MIB * MIB,
		resultBytes: value.BERTH_RESULTS_MIB * MIB,
		logBytes: value.BERTH_LOGS_MIB * MIB,
		deliveryBytes: value.BERTH_DELIVERIES_MIB * MIB,
	});
}

function keptOf(value: z.output<typeof settingsSchema>): Pick<Settings, "hookEventsMs" | "idempotencyMs"> {
	return { hookEventsMs: value.BERTH_HOOK_EVENTS_HOURS * HOUR_MS, idempotencyMs: value.BERTH_IDEMPOTENCY_HOURS * HOUR_MS };
}

function proxiesAndHosts(value: z.output<typeof settingsSchema>): Pick<Settings, "callbackHosts" | "trustedProxies"> {
	return {
		callbackHosts: Object.freeze(value.BERTH_CALLBACK_HOSTS ?? []),
		trustedProxies: Object.freeze(value.BERTH_TRUSTED_PROXIES ?? []),
	};
}
