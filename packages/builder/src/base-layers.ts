import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import {
	BerthError,
	type Language,
	languageOf,
	MOUNTS_PATH,
	RUNTIMES,
	type Runtime,
	SANDBOX_PATHS,
	SANDBOX_RESOLVER,
} from "@berth/contracts";
import { inputFile } from "./file-digests.js";
import { readPython } from "./python-base.js";
import { sharedLibraries } from "./shared-libraries.js";
import { readShellTools } from "./shell-tools.js";
import { findLayer, type LayerStores, layerKey, makeLayer, type StoredLayer } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

/** The stores, and what is read for the layers: who reads adds it. */
export type BaseStores = LayerStores & { readonly inputs: Set<string> };

/** Mount points, and the files that programs expect. uid 1000 runs the code. */
const SKELETON: readonly LayerEntry[] = [
	{ path: "proc", kind: "directory" },
	{ path: "dev", kind: "directory" },
	{ path: "tmp", kind: "directory", mode: 0o1777 },
	{ path: inRoot(MOUNTS_PATH), kind: "directory" },
	{ path: inRoot(SANDBOX_PATHS.graft), kind: "directory" },
	{ path: inRoot(SANDBOX_PATHS.code), kind: "directory" },
	text(inRoot(SANDBOX_PATHS.socket), ""),
	text("etc/passwd", "user:x:1000:1000::/tmp:/sbin/nologin\n"),
	text("etc/group", "user:x:1000:\n"),
	text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
	// Where there is no network the address can't be reached, which ends a look-up at once.
	text("etc/resolv.conf", `nameserver ${SANDBOX_RESOLVER}\noptions timeout:3 attempts:2\n`),
	text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/** The layer of a language environment. @throws BerthError `platform_error` naming what is missing */
export function runtimeLayer(runtimesDir: string, runtime: Runtime, stores: BaseStores): Promise<StoredLayer> {
	// The bridge to a program of the function's own runs on Node: on the same layer as functions of that runtime.
	if (runtime === "custom") return nodeLayer(runtimesDir, "node24", stores);
	return languageOf(runtime) === "python" ? pythonLayer(stores) : nodeLayer(runtimesDir, runtime, stores);
}

/** Node, the libraries it links at the paths where it looks for them, and the skeleton of a root file system. */
async function nodeLayer(runtimesDir: string, runtime: Runtime, stores: BaseStores): Promise<StoredLayer> {
	const node = nodeOf(runtimesDir, runtime);
	const libraries = await sharedLibraries(node);
	const files = [
		await executable("usr/bin/node", node, stores),
		...(await Promise.all(libraries.map(({ path, file }) => executable(inRoot(path), file, stores)))),
	];
	return storeLayer("runtime", [...SKELETON, ...files.map(({ entry }) => entry)], files, stores);
}

function nodeOf(runtimesDir: string, runtime: Runtime): string {
	// Packages of both processors stand in the lock file; npm installs the machine's own.
	const node = join(runtimesDir, "node_modules", process.arch === "x64" ? runtime : `${runtime}-${process.arch}`, "bin", "node");
	if (existsSync(node)) return node;
	throw new BerthError("platform_error", `The runtime ${runtime} isn't installed: ${node} is missing. Run npm run setup.`);
}

/** The distribution's Python, its standard library with bytecode, the libraries those link, and the skeleton of a root file system. */
async function pythonLayer(stores: BaseStores): Promise<StoredLayer> {
	const python = await readPython();
	for (const tree of python.trees) stores.inputs.add(tree);
	const files = [
		await executable("usr/bin/python3", python.program, stores),
		...(await Promise.all(python.libraries.map(({ path, file }) => executable(inRoot(path), file, stores)))),
		...python.files.map(({ path, bytes }) => inMemory(inRoot(path), bytes)),
	];
	return storeLayer("runtime", [...SKELETON, ...files.map(({ entry }) => entry)], files, stores);
}

/** Init and agent. */
export async function agentLayer(agentDir: string, init: string, language: Language, stores: BaseStores): Promise<StoredLayer> {
	if (!existsSync(init)) throw new BerthError("platform_error", `${init} is missing: install Debian's package tini.`);
	const files = [await executable("sbin/tini", init, stores), ...(await agentFiles(agentDir, language, stores))];
	return storeLayer(
		"agent",
		files.map(({ entry }) => entry),
		files,
		stores,
	);
}

function agentFiles(agentDir: string, language: Language, stores: BaseStores): Promise<Input[]> {
	if (language === "python") return pythonAgent(agentDir, stores);
	return language === "custom" ? bridge(agentDir, stores) : nodeAgent(agentDir, stores);
}

/** What speaks with a program of the function's own, and what such a program finds when it is a shell script. */
async function bridge(agentDir: string, stores: BaseStores): Promise<Input[]> {
	return [await plain(inRoot(SANDBOX_PATHS.bridge), join(agentDir, "bridge.cjs"), stores), ...(await shell(stores))];
}

/** A shell and small programs. */
async function shell(stores: BaseStores): Promise<Input[]> {
	const tools = await readShellTools();
	return [
		...(await Promise.all(tools.files.map(({ path, file }) => executable(inRoot(path), file, stores)))),
		...tools.links.map(({ path, target }): Input => ({ entry: { path: inRoot(path), kind: "link", target }, identity: [path, target] })),
	];
}

async function nodeAgent(agentDir: string, stores: BaseStores): Promise<Input[]> {
	return [
		await plain(inRoot(SANDBOX_PATHS.agent), join(agentDir, "agent.cjs"), stores),
		await plain("berth/warm.mjs", join(agentDir, "warm.mjs"), stores),
	];
}

/** Its sources, and bytecode of them where the build of this checkout made some. */
async function pythonAgent(agentDir: string, stores: BaseStores): Promise<Input[]> {
	const directory = join(agentDir, "python");
	stores.inputs.add(directory);
	const names = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((name) => name.isFile());
	const paths = names.map(({ parentPath, name }) => relative(directory, join(parentPath, name))).sort();
	return Promise.all(
		paths.map(async (path) => inMemory(join(inRoot(SANDBOX_PATHS.pythonAgent), path), await readFile(join(directory, path)))),
	);
}

/** The build handler, esbuild and pip beside it. */
export async function builderLayer(agentDir: string, stores: BaseStores): Promise<StoredLayer> {
	const directory = join(agentDir, "builder");
	stores.inputs.add(directory);
	const names = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((name) => name.isFile());
	const paths = names.map(({ parentPath, name }) => relative(directory, join(parentPath, name))).sort();
	const files = await Promise.all(
		paths.map((path) => (path.includes("/bin/") ? executable : plain)(`berth/builder/${path}`, join(directory, path), stores)),
	);
	return storeLayer(
		"builder",
		files.map(({ entry }) => entry),
		files,
		stores,
	);
}

/** Of Node's headers, OpenSSL's for other processors: nine tenths of the bytes. */
const FOREIGN_HEADERS = new RegExp(`/openssl/archs/(?!linux-${process.arch === "x64" ? "x86_64" : "aarch64"}/)`);
const NODE_GYP = "berth/node-gyp";

/** npm's tool to compile packages with, under the name that scripts know it by, and the headers of each runtime of Node. */
export async function nodeGypLayer(agentDir: string, runtimesDir: string, stores: BaseStores): Promise<StoredLayer> {
	const directories = RUNTIMES.filter((runtime) => languageOf(runtime) === "node").map((runtime) => ({
		from: join(dirname(dirname(nodeOf(runtimesDir, runtime))), "include"),
		to: `${inRoot(SANDBOX_PATHS.nodeHeaders)}/${runtime}/include`,
	}));
	const trees = [{ from: join(agentDir, "node-gyp"), to: NODE_GYP }, ...directories];
	const files = await Promise.all(trees.map(({ from, to }) => treeOf(from, to, stores)));
	const program = `#!/bin/sh\nexec /usr/bin/node ${SANDBOX_PATHS.nodeGyp} "$@"\n`;
	const started = inMemory("usr/bin/node-gyp", Buffer.from(program));
	const inputs = [...files.flat(), { ...started, entry: { ...started.entry, executable: true } as LayerEntry }];
	// Scripts begin with this more often than not.
	const env: Input = { entry: { path: "usr/bin/env", kind: "link", target: "../../bin/busybox" }, identity: ["usr/bin/env", "busybox"] };
	const all = [...inputs, env];
	return storeLayer(
		"node-gyp",
		all.map(({ entry }) => entry),
		all,
		stores,
	);
}

/** The files of a tree, in memory: they are many and small. */
async function treeOf(from: string, to: string, stores: BaseStores): Promise<readonly Input[]> {
	if (!existsSync(from)) throw new BerthError("platform_error", `${from} is missing. Run npm run setup.`);
	stores.inputs.add(from);
	const names = (await readdir(from, { recursive: true, withFileTypes: true })).filter((name) => name.isFile());
	const paths = names.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => !FOREIGN_HEADERS.test(path));
	return Promise.all(paths.sort().map(async (path) => inMemory(join(to, relative(from, path)), await readFile(path))));
}

/** What packages' scripts find in a build. */
export async function shellLayer(stores: BaseStores): Promise<StoredLayer> {
	const files = await shell(stores);
	return storeLayer(
		"shell",
		files.map(({ entry }) => entry),
		files,
		stores,
	);
}

/** An entry, and what it adds to the layer's key. */
interface Input {
	readonly entry: LayerEntry;
	readonly identity: readonly [path: string, sha256: string];
}

async function plain(path: string, file: string, stores: BaseStores): Promise<Input> {
	stores.inputs.add(file);
	const input = await inputFile(file, stores.keys);
	return { entry: { path, kind: "file", content: input }, identity: [path, input.sha256] };
}

function inMemory(path: string, bytes: Buffer): Input {
	return { entry: { path, kind: "file", content: { bytes } }, identity: [path, createHash("sha256").update(bytes).digest("hex")] };
}

async function executable(path: string, file: string, stores: BaseStores): Promise<Input> {
	const { entry, identity } = await plain(path, file, stores);
	return { entry: { ...entry, executable: true } as LayerEntry, identity };
}

async function storeLayer(
	kind: string,
	entries: readonly LayerEntry[],
	inputs: readonly Input[],
	stores: BaseStores,
): Promise<StoredLayer> {
	const key = layerKey(kind, [inputs.map(({ identity }) => identity), kind === "runtime" ? SKELETON_IDENTITY : null]);
	const known = await findLayer(stores, key);
	if (known !== undefined) return { layer: { digest: known.digest, sizeBytes: known.sizeBytes }, cached: true };
	return { layer: await makeLayer(stores, key, entries), cached: false };
}

const SKELETON_IDENTITY = SKELETON.map((entry) =>
	entry.kind === "directory"
		? [entry.path, entry.mode ?? 0]
		: entry.kind === "link"
			? [entry.path, entry.target]
			: [entry.path, "bytes" in entry.content ? Buffer.from(entry.content.bytes).toString() : ""],
);

function text(path: string, content: string): LayerEntry {
	return { path, kind: "file", content: { bytes: Buffer.from(content) } };
}

/** An absolute path as a layer has it. */
function inRoot(path: string): string {
	return path.replace(/^\/+/, "");
}
