import { DEPENDENCY_LIMITS, QUOTAS, type QuotaName, sentinelAddressOf, VOLUMES_MIB } from "@berth/contracts";
import * as z from "zod";
import { payloadStore } from "./payload-store.js";
import { ROLES, rolesSetting } from "./roles.js";
import { binds, hosts, labels, networks, packageRegistries, registries, repository, waivedLimits } from "./setting-values.js";
import { tracingSettings } from "./tracing-settings.js";

/** Longest data directory, bytes: a socket's path below it has room for 107 (sun_path), and the longest is an agent's. */
const DATA_DIR_BYTES = 64;

/** What bounds BERTH_GATEWAY_DRAIN_MS: whoever stops a stack waits so long for its gateway. */
export const GATEWAY_DRAIN_MOST_MS = 60_000;

const redisUrl = z
	.string()
	.refine(
		(url) => /^(?:rediss?:\/\/[^/?#]+|unix:\/\/\/[^?#]+)/.test(url) || sentinelAddressOf(url) !== undefined,
		"redis://host, rediss://host, redis+sentinel://host:port,host:port/name or unix:///path",
	);
const whole = (min: number, max: number) =>
	z.coerce
		.number(`a whole number from ${min} to ${max}`)
		.int(`a whole number from ${min} to ${max}`)
		.min(min, `at least ${min}`)
		.max(max, `at most ${max}`);

const quota = (name: QuotaName) => whole(QUOTAS[name].min, QUOTAS[name].max).optional();

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
	/** What of the stack this machine is: `gateway`, `worker`, or both. One alone shares both Redis servers, payload store and image repository with others. */
	BERTH_ROLES: rolesSetting.default(ROLES),
	/** Address, or name, of this machine at which workers on others reach its gateway. It listens there, for nobody else; with it there are others. */
	BERTH_INTERNAL_HOST: z
		.string()
		.regex(/^[A-Za-z0-9_.:-]{1,253}$/, "an address or a name of this machine")
		.optional(),
	/** The port for that, and the one behind it for a gateway that takes another one's place; 0 takes a free one. */
	BERTH_INTERNAL_PORT: whole(0, 65_534).default(8081),
	/** What this node is, for functions that ask for it with `nodeSelector`: `zone=a,gpu=true`. Default: nothing. */
	BERTH_NODE_LABELS: labels.optional(),
	/** Certificate chain and key of the gateway, PEM: it speaks TLS then. Both or neither. */
	BERTH_TLS_CERT: z.string().startsWith("/", "an absolute path").optional(),
	BERTH_TLS_KEY: z.string().startsWith("/", "an absolute path").optional(),
	/** Redis servers of your own: redis://, rediss://, redis+sentinel:// or unix://. Default: the embedded ones. */
	BERTH_DURABLE_REDIS_URL: redisUrl.optional(),
	BERTH_FAST_REDIS_URL: redisUrl.optional(),
	/** SHA-256 (hex) of an API key that is let in; it takes the place of the one set before. Default: the first key is made and shown once. */
	BERTH_ADMIN_KEY_SHA256: z
		.string()
		.regex(/^[0-9a-f]{64}$/, "64 hex digits")
		.optional(),
	/** SHA-256 (hex) of a key that lets in to the metrics and nowhere else. Default: the operator's key alone does. */
	BERTH_METRICS_KEY_SHA256: z
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
	/** gVisor, for functions with `runtimeClass: runsc`: a path; `auto` looks where programs are, `none` does without. Only with the engine `oci`. */
	BERTH_RUNSC: z
		.string()
		.regex(/^(?:auto|none|\/.*)$/, "auto, none, or an absolute path")
		.default("auto"),
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
		.regex(/^[0-9a-f]{64}(?:,[0-9a-f]{64}){0,7}$/, "64 hex digits; behind a comma those that were before")
		.optional(),
	/** How long the build of a source may take, its installation apart, milliseconds. */
	BERTH_BUILD_TIMEOUT_MS: whole(1000, 600_000).default(30_000),
	/** How long an installation of dependencies may take, milliseconds. */
	BERTH_INSTALL_TIMEOUT_MS: whole(1000, 600_000).default(DEPENDENCY_LIMITS.installMs),
	/** How long the package registry may say nothing during one, milliseconds. */
	BERTH_INSTALL_SILENCE_MS: whole(500, 600_000).default(DEPENDENCY_LIMITS.silenceMs),
	/** Idle time after which a warm sandbox is removed, milliseconds. */
	BERTH_IDLE_TTL_MS: whole(100, 0x7fff_ffff).default(600_000),
	/** Crashes of a version in a row, on this node, after which its next sandbox is started later. 0: never later. */
	BERTH_CRASHES_ALLOWED: whole(0, 1000).default(5),
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
	/** What a project's may take of the durable Redis with their answers, MiB; beyond it a request with a new one is refused. */
	BERTH_IDEMPOTENCY_MIB: whole(1, 1 << 20).default(128),
	/** Invocations that are waited for in a gateway, beyond which it answers 503; and those a worker runs at a time, a quarter of them background. */
	BERTH_MAX_INFLIGHT: whole(1, 100_000).default(1024),
	/** Background invocations of one function that may be queued, beyond which new ones are answered 429; and of one project. */
	BERTH_MAX_QUEUED: whole(1, 100_000_000).default(200_000),
	BERTH_MAX_QUEUED_PROJECT: whole(1, 100_000_000).default(1_000_000),
	/** What every project is bounded by that nothing else was set for: functions that it has; invocations at once; requests a second, and at once; MiB of images. Default: nothing. */
	BERTH_QUOTA_FUNCTIONS: quota("functions"),
	BERTH_QUOTA_CONCURRENCY: quota("concurrency"),
	BERTH_QUOTA_REQUESTS_PER_SECOND: quota("requestsPerSecond"),
	BERTH_QUOTA_BURST: quota("burst"),
	BERTH_QUOTA_IMAGE_MIB: quota("imageMiB"),
	/** The same of MiB of the sandboxes that functions have ready always: on each node, whether they are used or not. */
	BERTH_QUOTA_WARM_MIB: whole(QUOTAS.warmMiB.min, QUOTAS.warmMiB.max).default(512),
	/** Of what a project may have in flight at once, the percentage that its background work leaves to those who wait: one at least, unless it is 0. */
	BERTH_INTERACTIVE_RESERVE_PERCENT: whole(0, 90).default(25),
	/** Memory for request bodies that arrive in a gateway, and as much again for answers that aren't taken yet, MiB. */
	BERTH_BODY_MEMORY_MIB: whole(64, 1 << 20).default(256),
	/** How long a client may take nothing of its answer before it is cut off, milliseconds. */
	BERTH_ANSWER_STALL_MS: whole(1000, 3_600_000).default(30_000),
	/** How long a client may send nothing of a body that its function waits for before it is broken off, milliseconds. */
	BERTH_BODY_STALL_MS: whole(1000, 3_600_000).default(30_000),
	/** How long a gateway that is told to stop goes on serving while `/readyz` says so, milliseconds: what stands in front of it sends it nothing more by then. */
	BERTH_GATEWAY_DRAIN_MS: whole(0, GATEWAY_DRAIN_MOST_MS).default(0),
	/** OCI registries that images may be pushed to and pulled from, with logins. */
	BERTH_REGISTRIES: registries.optional(),
	/** Repository, on one of those, that the image and source of every version is pushed to, and that is asked for what is missing here. */
	BERTH_IMAGE_REPOSITORY: repository.optional(),
	/** IPv4 address of the resolver that functions with a network ask. Default: the host's first one that isn't on its loopback. */
	BERTH_RESOLVER: z.ipv4("an IPv4 address").optional(),
	/** Certificates (PEM) that hosts are held against, too, that secrets of functions are sent to. Default: this machine's, and those that Node comes with. */
	BERTH_EGRESS_CA_FILE: z.string().startsWith("/", "an absolute path").optional(),
	/** Hosts that callbacks may be posted to although they aren't public, and without TLS: `host` or `host:port`, several with commas between. */
	BERTH_CALLBACK_HOSTS: hosts.optional(),
	/** Proxies in front of the gateway whose `X-Forwarded-For` is believed: addresses and networks, several with commas between. */
	BERTH_TRUSTED_PROXIES: networks.optional(),
	/** Connections to a gateway at the same time; more are answered 503. */
	BERTH_MAX_CONNECTIONS: whole(16, 1_000_000).default(10_000),
	/** Those from one address that is neither this machine's own nor a trusted proxy's; of IPv6 those from one /64. */
	BERTH_MAX_CONNECTIONS_PER_ADDRESS: whole(1, 1_000_000).default(1000),
	/** Whether functions may have `network: host`, this machine's own. */
	BERTH_HOST_NETWORK: z.enum(["permitted", "refused"], "permitted or refused").default("refused"),
	/** Limits of sandboxes that this host may be unable to enforce, and is used all the same. */
	BERTH_INSECURE_ALLOW: waivedLimits.optional(),
	/** AppArmor's profile for sandboxes: it has to be loaded, and to be enforced. Default: whatever the launcher is under. */
	BERTH_APPARMOR_PROFILE: z
		.string()
		.regex(/^[A-Za-z0-9][\w.-]{0,99}$/, "the name of a profile: letters, digits, . _ -")
		.optional(),
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

/** The environment variables that are settings. */
export type SettingName = keyof z.input<typeof settingsSchema>;

/** What the environment says, checked and with its defaults. */
export type SettingValues = z.output<typeof settingsSchema>;
