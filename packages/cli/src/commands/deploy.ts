import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ApiError, type Client, type DeployOptions } from "@berth/client";
import { buildError, type DeployAnswer, type InlineDeployInput, LIVE, type ManifestInput, problemOf, type Version } from "@berth/contracts";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { parseDurationMs } from "../input/durations.js";
import {
	addHost,
	addVariable,
	MANIFEST_FILE,
	type ManifestFile,
	type ManifestOptions,
	manifestOf,
	mergeManifest,
	nameFor,
	parseReuse,
	parseSandboxes,
	readManifest,
} from "../input/manifest.js";
import { runtimeOf } from "../input/runtime-of.js";
import { parseCpuMilli, parseMemoryMiB } from "../input/sizes.js";
import { packDirectory } from "../input/source-directory.js";
import { isSourceDirectory, readPacked, readSourceFile } from "../input/source-file.js";
import { parseText } from "../input/text.js";
import type { Registrar } from "../registrar.js";
import { BuildView } from "../render/build-log.js";
import { deployedText } from "../render/deployed.js";
import { diagnosticText } from "../render/diagnostics.js";
import type { Session } from "../session.js";
import { fileFault } from "../system-errors.js";
import type { Terminal } from "../terminal.js";

interface DeployCommandOptions extends ManifestOptions {
	readonly name?: string;
	readonly manifest?: string;
	readonly image?: string;
	readonly wait: boolean;
	readonly cache: boolean;
	readonly saveLock: boolean;
}

/** Builds are begun at once, where there is somebody to begin them, milliseconds. */
const QUEUED_MS = 2000;
const LOCKFILE = "package-lock.json";
const HELP = `
A file is deployed as it is; a directory is packed, without node_modules, .git
and what its .berthignore names. A directory's ${MANIFEST_FILE} is its manifest: the
API's fields (memoryMiB, timeoutMs, env, …) and perhaps a name. A file that ends
in .tar is an image: what docker save writes, or an OCI layout; one that ends in
.tar.gz, .tgz or .zip holds what a directory would.

Examples:
  berth deploy hello.ts
  berth deploy ./shop --memory 256 --timeout 10s --env CURRENCY=EUR
  berth deploy --image registry.example.com/team/shop:3`;

/** `berth deploy <file|dir>` */
export function registerDeploy({ program, action }: Registrar): void {
	program
		.command("deploy")
		.description("deploy a source file or directory as a function")
		.argument("[path]", "source file or directory, or an image as a tar")
		.option("--image <image>", "instead of a path: an image in a registry that the node may use", parseText)
		.option("--dockerfile <path>", "the directory's Dockerfile, whose image is the function (engine docker)")
		.option("--name <name>", "function (default: made from the path)", parseText)
		.option("--memory <size>", "memory and swap: 128, 256MiB, 1GiB", parseMemoryMiB)
		.option("--cpu <cores>", "CPU: 1, 0.5, 500m", parseCpuMilli)
		.option("--timeout <duration>", "how long it may run: 500ms, 30s, 2m", parseDurationMs)
		.option("--tmpfs <size>", "size of /tmp, charged to memory: 64, 128MiB", parseMemoryMiB)
		.option("--env <KEY=VALUE>", "an environment variable; may be repeated", addVariable, {})
		.option("--allow <host>", "a host it may reach, as api.example.com or *.example.org:8443; may be repeated", addHost)
		.option("--env-file <file>", "a file of KEY=VALUE lines", parseText)
		.option("--min <sandboxes>", "sandboxes that are ready always, on each node", parseSandboxes)
		.option("--reuse <how>", "version, never, or invocations per sandbox", parseReuse)
		.option(
			"--runtime <runtime>",
			"node24, node22, python3 or custom (default: node24; python3 for a .py file, custom for one named bootstrap)",
		)
		.option("--runtime-class <class>", "runsc: its sandboxes run under gVisor, where the node has that")
		.option("--manifest <file>", `a manifest instead of the directory's ${MANIFEST_FILE}`, parseText)
		.option("--no-cache", "make its layers anew, and a version though nothing changed")
		.option("--save-lock", "write the lock file that the dependencies were resolved to into the directory", false)
		.option("--no-wait", "return when the version is queued")
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, options: DeployCommandOptions, path?: string) => {
				const source = await readSource(path, options);
				if (options.saveLock && !options.wait)
					throw new CommandFailure(EXIT.usage, "--save-lock waits for the build, and --no-wait doesn't: leave one of them out");
				const { client, url } = await session.connect();
				// For programs the answer alone, for people the build as it goes.
				const isWatched = options.wait && !session.json;
				const sent = await source.send(client, { wait: options.wait && session.json, cache: options.cache });
				const answer = isWatched && !sent.unchanged ? { ...sent, ...(await watched(session, client, sent.version)) } : sent;
				const saved = options.saveLock && path !== undefined ? await saveLock(client, answer.version, path) : undefined;
				return report(session, url, answer, saved);
			}),
		);
}

/** Shows a build until it has ended. @throws ApiError when it failed, as a deploy that waits is answered */
async function watched({ terminal, berth }: Session, client: Client, { function: name, number }: Version): Promise<DeployAnswer> {
	const view = new BuildView(terminal);
	using waiting = whileQueued(client, terminal, `${berth} buildlog ${name}@${number}`);
	await client.followBuild(name, number, {
		onProgress: view.onProgress,
		onLine(line) {
			if (line.text !== "queued") waiting.end();
			view.onLine(line);
		},
	});
	terminal.clearStatus();
	const version = await client.version(name, number);
	if (version.failure !== undefined) {
		const { code, message, issues, extra } = buildError(version, version.failure);
		throw new ApiError(problemOf(code, message, issues, extra));
	}
	const live = (await client.aliases(name)).find((alias) => alias.name === LIVE);
	return { version, unchanged: false, ...(live === undefined ? {} : { live }) };
}

/** Says why nothing happens, and that nobody has to wait for it, where a build isn't begun in a moment and nobody is there to begin it. */
function whileQueued(client: Client, terminal: Terminal, follow: string): Disposable & { end(): void } {
	const timer = setTimeout(async () => {
		const { ready, detail = "" } = await client.ready().catch(() => ({ ready: true, detail: "" }));
		if (!ready) terminal.note(`It is queued: ${detail.replace(/\.$/, "")}. Ctrl-C leaves it queued; \`${follow}\` follows it later.`);
	}, QUEUED_MS);
	const end = () => clearTimeout(timer);
	return { end, [Symbol.dispose]: end };
}

/** Writes the lock file that a build made, if it made one. @returns its path */
async function saveLock(client: Client, { function: name, number, build }: Version, directory: string): Promise<string | undefined> {
	if (build?.lockfile === undefined) return undefined;
	const path = join(directory, LOCKFILE);
	try {
		// One that is there stays: it came from somebody, and wasn't deployed for a reason.
		await writeFile(path, await client.lockfile(name, number), { flag: "wx" });
		return path;
	} catch (error) {
		if (error instanceof ApiError) throw error;
		throw new CommandFailure(EXIT.failed, `${path} can't be written: ${fileFault(error)}`);
	}
}

/** A source ready to be sent. */
interface Source {
	send(client: Client, options: DeployOptions): Promise<DeployAnswer>;
}

async function readSource(path: string | undefined, options: DeployCommandOptions): Promise<Source> {
	if (path !== undefined && options.image !== undefined)
		throw new CommandFailure(EXIT.usage, `deploy either ${path} or the image ${options.image}: a path or --image, not both`);
	if (path === undefined && options.image === undefined)
		throw new CommandFailure(EXIT.usage, "say what to deploy: a path, or --image with the name of one");
	return path === undefined ? await imageSource(options.image as string, options) : await pathSource(path, options);
}

/** The function's name is made from the image's, without its registry and tag. */
async function imageSource(image: string, options: DeployCommandOptions): Promise<Source> {
	const file = options.manifest === undefined ? { manifest: {} } : await readManifest(options.manifest);
	const { runtime: _, ...manifest } = await mergeManifest(file.manifest, options);
	const name = nameFor(image.replace(/(?::[^/]*|@.*)$/, ""), options.name ?? file.name);
	return { send: (client, how) => client.deploy(name, { ...manifest, image }, how) };
}

async function pathSource(path: string, options: DeployCommandOptions): Promise<Source> {
	const isDirectory = await isSourceDirectory(path);
	const file = await manifestFile(path, isDirectory, options);
	const manifest = { ...runtimeOf(path), ...(await mergeManifest(file.manifest, options)) };
	const name = nameFor(path, options.name ?? file.name);
	if (isDirectory) {
		const { bytes } = await packDirectory(path);
		return { send: (client, how) => client.deployArchive(name, { kind: "tar.gz", bytes, manifest }, how) };
	}
	const packed = await readPacked(path);
	if (packed !== undefined) return { send: (client, how) => client.deployArchive(name, { ...packed, manifest }, how) };
	const deploy = inlineOf(manifest, path, await readSourceFile(path));
	return { send: (client, how) => client.deploy(name, deploy, how) };
}

async function manifestFile(path: string, isDirectory: boolean, options: DeployCommandOptions): Promise<ManifestFile> {
	if (options.manifest !== undefined) return readManifest(options.manifest);
	return isDirectory ? manifestOf(path) : { manifest: {} };
}

/** An inline deploy is its own entry: the manifest's `entry` has no meaning there and is left for the gateway to refuse. */
function inlineOf(manifest: ManifestInput, path: string, source: string): InlineDeployInput {
	return { ...manifest, source, filename: basename(path) };
}

function report(session: Session, url: string, answer: DeployAnswer, savedLock?: string): ExitCode {
	const { terminal } = session;
	const { version } = answer;
	if (session.json) {
		terminal.json({ ...answer, url: functionUrl(url, version), ...(savedLock === undefined ? {} : { savedLock }) });
		return version.state === "failed" ? EXIT.failed : EXIT.ok;
	}
	const diagnostics = version.failure?.diagnostics ?? version.build?.warnings ?? [];
	for (const diagnostic of diagnostics) terminal.note(diagnosticText(diagnostic, terminal));
	if (version.failure !== undefined) {
		terminal.note(
			`${terminal.style("red", "error")}: ${version.function} version ${version.number} failed (${version.failure.phase}): ${version.failure.message}`,
		);
		return EXIT.failed;
	}
	terminal.print(deployedText(answer, functionUrl(url, version), savedLock));
	for (const warning of answer.warnings ?? []) terminal.note(`${terminal.style("yellow", "warning")}: ${warning}`);
	return EXIT.ok;
}

function functionUrl(url: string, version: Version): string {
	return `${url}/fn/${version.project}/${version.function}/`;
}
