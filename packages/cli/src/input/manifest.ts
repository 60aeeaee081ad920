import { access, readFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { type ManifestInput, NAME_PATTERN, NAME_RULE } from "@berth/contracts";
import { InvalidArgumentError } from "commander";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { fileFault, isMissing } from "../system-errors.js";

/** A source directory's manifest. */
export const MANIFEST_FILE = "berth.json";

/** The fields of `berth deploy` that go into a manifest, parsed. */
export interface ManifestOptions {
	readonly memory?: number;
	readonly cpu?: number;
	readonly timeout?: number;
	readonly tmpfs?: number;
	readonly runtime?: string;
	readonly runtimeClass?: string;
	readonly dockerfile?: string;
	/** Sandboxes that are ready always. */
	readonly min?: number;
	readonly reuse?: "version" | "never" | number;
	/** The whole network: hosts that it may reach. */
	readonly allow?: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly envFile?: string;
}

/** A manifest file: the manifest, and perhaps the function's name. */
export interface ManifestFile {
	readonly name?: string;
	readonly manifest: Readonly<Record<string, unknown>>;
}

/** Reads a manifest file. What its fields may be, the gateway says. @throws CommandFailure */
export async function readManifest(path: string): Promise<ManifestFile> {
	let parsed: unknown;
	try {
		parsed = JSON.parse(await readFile(path, "utf8"));
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `${path}: ${fileFault(error)}`);
	}
	if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
		throw new CommandFailure(EXIT.usage, `${path}: a JSON object is wanted`);
	const { name, ...manifest } = parsed as Record<string, unknown>;
	if (name === undefined) return { manifest };
	if (typeof name !== "string") throw new CommandFailure(EXIT.usage, `${path}: name: a string is wanted`);
	return { name, manifest };
}

/** A source directory's own manifest; an empty one when it has none. @throws CommandFailure */
export async function manifestOf(directory: string): Promise<ManifestFile> {
	const path = join(directory, MANIFEST_FILE);
	try {
		await access(path);
	} catch (error) {
		if (isMissing(error)) return { manifest: {} };
		throw error;
	}
	return readManifest(path);
}

/** A file's manifest with the command line's fields over it; environment variables add to each other. */
export async function mergeManifest(file: ManifestFile["manifest"], options: ManifestOptions): Promise<ManifestInput> {
	const env = {
		...(isRecord(file["env"]) ? file["env"] : {}),
		...(options.envFile === undefined ? {} : await readEnvFile(options.envFile)),
		...options.env,
	};
	const fields = {
		memoryMiB: options.memory,
		cpuMilli: options.cpu,
		timeoutMs: options.timeout,
		tmpfsMiB: options.tmpfs,
		runtime: options.runtime,
		runtimeClass: options.runtimeClass,
		dockerfile: options.dockerfile,
		pool: options.min === undefined ? undefined : { ...(isRecord(file["pool"]) ? file["pool"] : {}), min: options.min },
		reuse: options.reuse,
		network: options.allow && { allow: options.allow },
	};
	const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
	// The gateway checks every field, those from the file too, and names the one that is wrong.
	return { ...file, ...given, ...(Object.keys(env).length > 0 ? { env } : {}) } as ManifestInput;
}

/** One more `KEY=VALUE` of the command line. */
export function addVariable(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
	const at = text.indexOf("=");
	if (at < 1) throw new InvalidArgumentError("A variable is KEY=VALUE.");
	return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** One more host of the command line; the gateway checks it. */
export function addHost(text: string, before: readonly string[] = []): string[] {
	return [...before, text];
}

/** `version`, `never`, or a number of uses. */
export function parseReuse(text: string): "version" | "never" | number {
	if (text === "version" || text === "never") return text;
	if (/^[1-9]\d*$/.test(text)) return Number(text);
	throw new InvalidArgumentError("`version`, `never`, or how many invocations a sandbox may serve.");
}

/** How many; the gateway says how many there may be. */
export function parseSandboxes(text: string): number {
	if (/^\d{1,9}$/.test(text)) return Number(text);
	throw new InvalidArgumentError("How many sandboxes, as in 2.");
}

/** The function's name: as said, else made from the file's or directory's. @throws CommandFailure */
export function nameFor(path: string, said: string | undefined): string {
	if (said !== undefined) return said;
	const absolute = resolve(path);
	const stem = basename(absolute, extname(absolute)).replace(/\.tar$/, "");
	const source = stem === "index" || stem === "main" || stem === "handler" ? basename(dirname(absolute)) : stem;
	const name = source
		.toLowerCase()
		.replace(/[^a-z0-9]+/g, "-")
		.replace(/^[-0-9]+|-+$/g, "");
	if (!NAME_PATTERN.test(name))
		throw new CommandFailure(EXIT.usage, `no function name can be made of "${source}": say --name (${NAME_RULE})`);
	return name;
}

async function readEnvFile(path: string): Promise<NodeJS.Dict<string>> {
	try {
		return parseEnv(await readFile(path, "utf8"));
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `--env-file ${path}: ${fileFault(error)}`);
	}
}

function isRecord(value: unknown): value is Record<string, string> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
