import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { BuildAnswer, SourceRequest } from "@berth/contracts/agent";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../bundle/load-bundle.js";
import type { Built } from "./answer.js";
import { buildSource } from "./build-source.js";
import { CodeCache } from "./code-cache.js";

let directory: string;
let codeCache: CodeCache;
const TARGET = `node${process.versions.node.split(".")[0]}` as SourceRequest["runtime"];

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "build-source-"));
	const program = join(directory, "code-cache-compiler.cjs");
	buildSync({
		entryPoints: [join(import.meta.dirname, "code-cache-compiler.ts")],
		bundle: true,
		platform: "node",
		format: "cjs",
		outfile: program,
	});
	codeCache = new CodeCache(program);
});
afterAll(() => {
	codeCache.close();
	rmSync(directory, { recursive: true, force: true });
});

const run = (request: Pick<SourceRequest, "kind" | "filename" | "entry" | "runtime">, source: string | Buffer) =>
	buildSource({ step: "source", external: [], registries: [], grafted: false, ...request }, Buffer.from(source), codeCache);
const file = (source: string, filename = "index.ts") => run({ kind: "file", filename, runtime: TARGET }, source);

/** A tar.gz of these files, packed by the system's tar. */
function packed(files: Readonly<Record<string, string>>): Buffer {
	const root = mkdtempSync(join(directory, "tree-"));
	for (const [path, content] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), content);
	}
	return execFileSync("tar", ["-cz", "-C", root, "."]);
}
const archive = (files: Readonly<Record<string, string>>, entry?: string) =>
	run({ kind: "tar.gz", runtime: TARGET, ...(entry === undefined ? {} : { entry }) }, packed(files));

function textOf(files: Built["files"], path: string): string {
	return Buffer.from(files.find((file) => file.path === path)?.bytes ?? []).toString();
}

async function accepted(build: ReturnType<typeof run>) {
	const { answer, files } = await build;
	if (answer.ok !== true) throw new Error(JSON.stringify(answer));
	return {
		answer,
		files,
		code: textOf(files, answer.entry),
		map: JSON.parse(textOf(files, `${answer.entry}.map`)) as { sources: string[] },
	};
}

async function refused(build: ReturnType<typeof run>): Promise<Extract<BuildAnswer, { ok: false }>> {
	const { answer } = await build;
	if (answer.ok) throw new Error("it built");
	return answer;
}

/** Lays a build's files out as its code layer does and loads it as the agent does. */
async function loaded(build: ReturnType<typeof run>) {
	const { answer, files } = await accepted(build);
	const root = mkdtempSync(join(directory, "layer-"));
	for (const { path, bytes } of files) writeFileSync(join(root, path), bytes);
	return { ...(await loadBundle(join(root, answer.entry))), entry: answer.entry };
}

describe("handlers", () => {
	test.each<[string, string, string, string]>([
		["TypeScript, fetch", "index.ts", "export default { fetch: (request: Request): string => request.url };", "index.cjs"],
		["a payload function", "index.mjs", "export default async (payload) => payload;", "index.cjs"],
		["a named handler", "handler.js", "export const handler = async () => 1;", "index.cjs"],
		["CommonJS with exports", "index.cjs", "exports.handler = async () => 1;", "index.cjs"],
		["CommonJS with module.exports", "index.cjs", "module.exports = async () => 1;", "index.cjs"],
		["top-level await", "index.ts", "const x = await Promise.resolve(1); export default () => x;", "index.mjs"],
		["import.meta in general", "index.ts", "export default () => import.meta.resolve('node:fs');", "index.mjs"],
		["import.meta.url and its like", "index.ts", "export default () => import.meta.url + import.meta.dirname;", "index.cjs"],
	])("%s is built and loads", async (_what, filename, source, entry) => {
		const bundle = await loaded(file(source, filename));
		expect(bundle.entry).toBe(entry);
		expect(Object.keys(bundle.exports).some((name) => name === "default" || name === "handler")).toBe(true);
	});

	test("code works as it would unbundled: strict modules, dynamic import, import.meta, require", async () => {
		const source = `
			import { createRequire } from "node:module";
			import fs, { existsSync } from "node:fs";
			export default async () => ({
				self: (function () { return this; })() === undefined,
				imported: typeof (await import("node:path")).join,
				variable: typeof (await import(["node:", "os"].join(""))).cpus,
				required: typeof createRequire(import.meta.url)("node:util").inspect,
				same: fs.existsSync === existsSync,
				url: import.meta.url,
			});`;
		const { exports } = await loaded(file(source));
		expect(await (exports["default"] as () => Promise<unknown>)()).toEqual({
			self: true,
			imported: "function",
			variable: "function",
			required: "function",
			same: true,
			url: "file:///function/code/index.cjs",
		});
	});

	test("CommonJS may go on being sloppy", async () => {
		const { exports } = await loaded(file("exports.handler = function () { return typeof this; };", "index.cjs"));
		expect((exports["handler"] as () => string).call(undefined)).toBe("object");
	});

	test("a module without a handler is refused with what it exports and the three shapes", async () => {
		const { code, message } = await refused(file("export const helper = 1; export function other() {}"));
		expect(code).toBe("no_handler");
		expect(message).toMatch(/helper, other.*export default \{ fetch.*export default async.*export const handler/);
	});
});

describe("archives", () => {
	test.each<[string, Record<string, string>, string | undefined, string]>([
		[
			"the manifest's entry",
			{ "index.ts": "export default () => 1", "lib/other.ts": "export default () => 2" },
			"lib/other.ts",
			"lib/other.ts",
		],
		["src/index", { "src/index.ts": "export default () => 1", "README.md": "" }, undefined, "src/index.ts"],
		[
			"package.json's main",
			{ "package.json": '{"main":"./lib/start"}', "lib/start.js": "module.exports = () => 1" },
			undefined,
			"lib/start.js",
		],
		[
			"the one top directory",
			{ "repo-abc/index.ts": "export { default } from './a.js'", "repo-abc/a.ts": "export default () => 1" },
			undefined,
			"index.ts",
		],
	])("finds %s", async (_what, files, entry, source) => {
		const { map } = await accepted(archive(files, entry));
		expect(map.sources).toContain(source);
	});

	test("without an entry the names looked for are told", async () => {
		expect((await refused(archive({ "readme.txt": "" }))).message).toMatch(/index\.\*, src\/index\.\*, handler\.\*.*"main"/);
		expect((await refused(archive({ "index.ts": "export default 1" }, "x.ts"))).message).toContain(
			'"x.ts" isn\'t in the source: the source has index.ts.',
		);
		expect((await refused(archive({ "main.py": "x = 1" }, "main.py"))).message).toContain("isn't TypeScript or JavaScript");
	});

	test("packages inside the archive are bundled, handlers that come from one too", async () => {
		const files = {
			"index.js": "export * from 'pkg';",
			"node_modules/pkg/package.json": '{"main":"m.js","type":"module"}',
			"node_modules/pkg/m.js": "export const handler = () => 'in';",
		};
		const { exports } = await loaded(archive(files));
		expect((exports["handler"] as () => string)()).toBe("in");
	});

	test("links are refused", async () => {
		const root = mkdtempSync(join(directory, "tree-"));
		symlinkSync("/etc/passwd", join(root, "index.ts"));
		const answer = await refused(run({ kind: "tar.gz", runtime: TARGET }, execFileSync("tar", ["-cz", "-C", root, "."])));
		expect(answer).toMatchObject({ code: "archive_rejected", phase: "unpack", message: expect.stringContaining("index.ts") });
	});
});

describe("diagnostics", () => {
	test("invalid TypeScript is told with file, line and column", async () => {
		const answer = await refused(
			archive({ "src/index.ts": "export default () => 1;\nimport './bad.js';", "src/bad.ts": "const a = 1;\n  const b = = 2;" }),
		);
		expect(answer).toMatchObject({ code: "build_failed", phase: "bundle", message: 'src/bad.ts:2:13: Unexpected "="' });
		expect(answer.diagnostics[0]).toMatchObject({ file: "src/bad.ts", line: 2, column: 13, lineText: "  const b = = 2;" });
	});

	test.each([
		["left-pad", 'import x from "left-pad";\nexport default x;', "index.ts"],
		["@aws-sdk/client-s3", 'import x from "@aws-sdk/client-s3";\nexport default x;', "index.ts"],
		["lodash/fp", 'const _ = require("lodash/fp"); exports.handler = () => _;', "index.cjs"],
	])("a missing package (%s) is named where it is imported, with what to do about packages", async (name, source, filename) => {
		const answer = await refused(file(source, filename));
		expect(answer.diagnostics[0]).toMatchObject({
			message: expect.stringContaining(`Could not resolve "${name}"; it isn't installed`),
			line: 1,
		});
		expect(answer.message).toContain("npm install <package>");
	});

	test("the advice about packages is given once, and for packages alone", async () => {
		const answer = await refused(
			file('import "a-package"; import "b-package"; import "./missing.js"; import "~/alias"; import "@/alias";'),
		);
		expect(answer.diagnostics.map(({ message }) => message.includes("npm"))).toEqual([true, false, false, false, false]);
	});

	test("a thousand of them are cut to what a header takes", async () => {
		const answer = await refused(file(Array.from({ length: 1000 }, (_, i) => `import "missing-${i}";`).join("\n")));
		expect(answer.diagnostics.length).toBeLessThanOrEqual(50);
		expect(JSON.stringify(answer.diagnostics).length).toBeLessThan(20_000);
	});

	test.each<[string, Record<string, string>]>([
		["an import of /etc/passwd", { "index.ts": 'import text from "/etc/passwd"; export default () => text;' }],
		["an import of a file outside", { "index.ts": 'import text from "../../../../../../etc/hostname.json"; export default () => text;' }],
		[
			"an import of a JSON file outside",
			{ "index.ts": `import text from ${JSON.stringify(join(import.meta.dirname, "../../package.json"))}; export default () => text;` },
		],
		[
			"a tsconfig that extends /etc/passwd",
			{ "tsconfig.json": '{"extends":"/etc/passwd"}', "index.ts": "export default () => 1; const a = ;" },
		],
	])("%s gets nothing", async (_what, files) => {
		const answer = await refused(archive(files));
		expect(answer.code).toBe("build_failed");
		expect(JSON.stringify(answer)).not.toMatch(/root:|@berth\/agents/);
	});
});

describe("output", () => {
	const large = `export const handler = () => 1;\n${Array.from({ length: 800 }, (_, i) => `export class C${i} { m(a: number) { return a + ${i}; } }`).join("\n")}`;

	test("is the same whenever and wherever it is built, code cache included", async () => {
		const [first, second] = [await accepted(file(large)), await accepted(file(large))];
		expect(textOf(first.files, "index.cjs.cache").length).toBeGreaterThan(10_000);
		expect(first.files.map(({ bytes }) => Buffer.from(bytes).toString("base64"))).toEqual(
			second.files.map(({ bytes }) => Buffer.from(bytes).toString("base64")),
		);
		expect(first.code).not.toContain(tmpdir());
	});

	test("names sources relative to the source's root", async () => {
		const { map } = await accepted(archive({ "index.ts": "export { default } from './src/a.js'", "src/a.ts": "export default () => 1" }));
		expect(map.sources).toContain("src/a.ts");
		expect(map.sources.filter((source) => source.startsWith("/") || source.startsWith(".."))).toEqual([]);
	});

	test("V8 takes the code cache, whatever heap it was booted with", async () => {
		expect((await loaded(file(large))).cached).toBe(true);
		const { answer, files } = await accepted(file(large));
		const root = mkdtempSync(join(directory, "layer-"));
		for (const { path, bytes } of files) writeFileSync(join(root, path), bytes);
		const loader = join(root, "loader.cjs");
		buildSync({
			entryPoints: [join(import.meta.dirname, "../bundle/load-bundle.ts")],
			bundle: true,
			platform: "node",
			format: "cjs",
			outfile: loader,
		});
		for (const heap of [
			["--max-old-space-size=20", "--max-semi-space-size=1"],
			["--max-old-space-size=400", "--max-semi-space-size=16"],
		]) {
			const program = `require(${JSON.stringify(loader)}).loadBundle(${JSON.stringify(join(root, answer.entry))}).then((bundle) => console.log(bundle.cached))`;
			expect(execFileSync(process.execPath, [...heap, "-e", program], { encoding: "utf8" }).trim()).toBe("true");
		}
	});

	test("has no code cache where none would help or be taken: small, or for another runtime", async () => {
		const names = async (build: ReturnType<typeof run>) => (await accepted(build)).files.map(({ path }) => path);
		expect(await names(file("export const handler = () => 1;"))).toEqual(["index.cjs", "index.cjs.map"]);
		expect(await names(run({ kind: "file", filename: "index.ts", runtime: "node22" }, large))).toEqual(["index.cjs", "index.cjs.map"]);
	});

	test("nor is what would make one started for a source that is small", async () => {
		const [program, starts] = [join(directory, "counted.cjs"), join(directory, "starts")];
		writeFileSync(program, `require("node:fs").appendFileSync(${JSON.stringify(starts)}, "started\\n");`);
		const counted = new CodeCache(program);
		const request = {
			step: "source",
			kind: "file",
			filename: "index.ts",
			runtime: TARGET,
			external: [],
			registries: [],
			grafted: false,
		} as const;
		for (const source of ["export const handler = () => 1;", large]) await buildSource(request, Buffer.from(source), counted);
		counted.close();
		expect(readFileSync(starts, "utf8")).toBe("started\n");
	});
});
