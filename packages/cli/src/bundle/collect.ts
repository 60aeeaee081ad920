import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@berth/client";
import { type Settings, shownSettings } from "@berth/config";
import { SECOND_MS } from "@berth/contracts";
import { examine } from "../doctor/examine.js";
import { settingsInUse } from "../doctor/running-settings.js";
import { readAdminKey } from "../supervisor/admin-key.js";
import { readSupervisorState } from "../supervisor/state-file.js";
import { messageOf } from "../system-errors.js";
import { ownTrust } from "../tls-trust.js";
import { knownSecrets } from "./known-secrets.js";
import { logTail } from "./log-lines.js";
import { disk, kernelFacts, mounts, processes } from "./machine-facts.js";
import { Redaction } from "./redaction.js";
import { redisFigures } from "./redis-figures.js";

/** Of one part: a stopped process never answers. */
const PART_MS = 20 * SECOND_MS;
const FORMAT = 1;

/** What isn't in a bundle, whatever happens. */
const NEVER = [
	"API keys, admin.key, secrets.key, the TLS key",
	"secrets, variables and sources of functions, and what functions log or answer",
	"bodies, results, records and names of keys in Redis",
	"names, passwords and queries of URLs in the settings",
	"fields of log lines that may hold what a tenant sent, and whatever in a line looks like a key",
];

/** A file of the bundle. */
interface Part {
	readonly path: string;
	/** What it has, for people. */
	readonly what: string;
	/** Its text; or what becomes JSON. */
	readonly make: () => Promise<unknown>;
}

/** What couldn't be had, and why. */
export interface Missing {
	readonly path: string;
	readonly why: string;
}

export interface Bundle {
	readonly files: Readonly<Record<string, string>>;
	readonly missing: readonly Missing[];
}

/**
 * Everything that helps somebody else to see what is wrong with a stack, up, down or half of both. It changes nothing.
 * @param given keys of the command line that aren't to be in it either
 */
export async function collect(ours: Settings, version: string, ...given: readonly (string | undefined)[]): Promise<Bundle> {
	const { settings } = await settingsInUse(ours);
	const redaction = new Redaction([...(await knownSecrets(settings, ...given)), ...(await knownSecrets(ours))]);
	const files: Record<string, string> = {};
	const missing: Missing[] = [];
	const listed: object[] = [];
	const parts = [...ofMachine(settings, version), ...ofStack(settings), ...(await ofLogs(settings, redaction, missing))];
	await Promise.all(
		parts.map(async ({ path, what, make }) => {
			try {
				const made = await within(make());
				const text = redaction.known(typeof made === "string" ? made : `${JSON.stringify(made, undefined, "\t")}\n`);
				files[path] = text;
				listed.push({ path, what, bytes: Buffer.byteLength(text), sha256: createHash("sha256").update(text).digest("hex") });
			} catch (error) {
				missing.push({ path, why: redaction.said(messageOf(error)) });
			}
		}),
	);
	const manifest = { format: FORMAT, createdAt: new Date().toISOString(), berth: version, files: listed, missing, never: NEVER };
	return { files: { ...files, "manifest.json": `${JSON.stringify(manifest, undefined, "\t")}\n` }, missing };
}

function ofMachine(settings: Settings, version: string): readonly Part[] {
	return [
		{
			path: "versions.json",
			what: "versions of Berth and of Node",
			make: async () => ({ berth: version, node: process.versions, arch: process.arch }),
		},
		{ path: "doctor.json", what: "what berth doctor finds", make: () => examine(settings) },
		{ path: "settings.json", what: "the settings in use, without passwords and keys", make: async () => shownSettings(settings) },
		{ path: "kernel.json", what: "kernel, processors, memory, load, cgroups", make: kernelFacts },
		{ path: "mounts.json", what: "what is mounted where", make: mounts },
		{ path: "processes.json", what: "the processes of the stack, and what they hold", make: () => processes(settings) },
		{ path: "disk.json", what: "what the data directory takes, beside its budgets", make: () => disk(settings) },
	];
}

function ofStack(settings: Settings): readonly Part[] {
	const redis = (["durable", "fast"] as const).map((role): Part => {
		const url = role === "durable" ? settings.durableRedisUrl : settings.fastRedisUrl;
		return { path: `redis-${role}.json`, what: `INFO of the ${role} Redis, and its keys by kind`, make: () => redisFigures(url) };
	});
	return [
		...redis,
		{
			path: "metrics.txt",
			what: "queues, pools and processes in figures, as /metrics has them",
			make: () => asked(settings, (client, signal) => client.metrics({ signal })),
		},
		{
			path: "nodes.json",
			what: "the nodes, and what they hold",
			make: () => asked(settings, (client, signal) => client.stats({ signal })),
		},
	];
}

async function ofLogs({ paths }: Settings, redaction: Redaction, missing: Missing[]): Promise<readonly Part[]> {
	try {
		const names = (await readdir(paths.logs)).filter((name) => name.endsWith(".log"));
		return names.map((name) => ({
			path: `logs/${name}`,
			what: "the last lines that this process printed, redacted",
			make: () => logTail(join(paths.logs, name), redaction),
		}));
	} catch (error) {
		missing.push({ path: "logs", why: messageOf(error) });
		return [];
	}
}

async function asked<T>({ paths }: Settings, ask: (client: Client, signal: AbortSignal) => Promise<T>): Promise<T> {
	const { url, certificate, startedWith } = (await readSupervisorState(paths)) ?? {};
	if (url === undefined) throw new Error("no gateway is up in this data directory");
	const key = await readAdminKey(paths);
	const tls = certificate === undefined ? {} : { tls: (await ownTrust(certificate, startedWith)).tls };
	await using client = createClient({ url, ...tls, ...(key === undefined ? {} : { key }) });
	return await ask(client, AbortSignal.timeout(PART_MS / 2));
}

async function within<T>(part: Promise<T>): Promise<T> {
	const { promise, reject } = Promise.withResolvers<never>();
	const timer = setTimeout(() => reject(new Error(`it isn't there after ${PART_MS / SECOND_MS} s`)), PART_MS);
	try {
		return await Promise.race([part, promise]);
	} finally {
		clearTimeout(timer);
	}
}
