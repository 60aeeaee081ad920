import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiError } from "@berth/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TarEntry } from "../harness/archives.js";
import { type Deployed, dependenciesOf, deployTar, freshName, refusalOf } from "../harness/functions.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

let registry: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	registry = await PackageRegistry.open();
	registry.publish({ name: "shout", version: "1.0.0", files: { "index.js": "module.exports = (text) => text.toUpperCase() + '!';" } });
	registry.publish({
		name: "@test/louder",
		version: "2.1.0",
		manifest: { dependencies: { shout: "^1.0.0" } },
		files: { "index.js": "const shout = require('shout'); exports.louder = (text) => shout(text) + '!!';" },
	});
	registry.publish({
		name: "reads-itself",
		version: "1.0.0",
		files: {
			"index.js": "const { readFileSync } = require('node:fs'); module.exports = () => readFileSync(__dirname + '/words.txt', 'utf8');",
			"words.txt": "from beside it",
		},
	});
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_NPM_REGISTRY: registry.url });
});
afterAll(async () => {
	await stack?.stop();
	await registry?.[Symbol.asyncDispose]();
});

const KIB = 1024;
const MIB = 1024 * KIB;
const SHOUT = { shout: "^1.0.0" };
const shoutLocked = () => ({ "node_modules/shout": registry.locked("shout", "1.0.0") });

const deployed = (entries: readonly TarEntry[], manifest = {}) => deployTar(stack, entries, manifest);
const refusal = (entries: readonly TarEntry[]) => refusalOf(deployed(entries));

describe("a source with package.json and package-lock.json", () => {
	it("has its dependencies in its bundle, where they can be in one", async () => {
		const made = await deployed(
			sourceWith("import shout from 'shout'; export default (p: { text: string }) => shout(p.text);", SHOUT, shoutLocked()),
		);
		expect(await made.result({ text: "hi" })).toBe("HI!");
		expect(dependenciesOf(made.version)).toMatchObject({ cached: false, inImage: false });
		expect(made.version.build?.phases.install).toBeGreaterThan(0);
		expect(made.version.image?.layers).toHaveLength(1);
	});

	it("has those of its dependencies too, and packages with a scope", async () => {
		const dependencies = { "@test/louder": "2.1.0" };
		const louder = { ...registry.locked("@test/louder", "2.1.0"), dependencies: SHOUT };
		const made = await deployed(
			sourceWith("import { louder } from '@test/louder'; export default (p: { text: string }) => louder(p.text);", dependencies, {
				"node_modules/@test/louder": louder,
				...shoutLocked(),
			}),
		);
		expect(await made.result({ text: "hi" })).toBe("HI!!!");
	});

	it("has them installed once: for another function with the same lock file, and after a restart", async () => {
		const asks = registry.asked.length;
		const source = (text: string) =>
			sourceWith(`import shout from 'shout'; export default () => shout('${text}');`, SHOUT, shoutLocked(), { name: text });
		const other = await deployed(source("other"));
		expect(dependenciesOf(other.version)).toMatchObject({ cached: true });
		expect(await other.result()).toBe("OTHER!");
		await stack.down();
		await stack.up();
		const again = await deployed(source("again"));
		expect(dependenciesOf(again.version)).toMatchObject({ cached: true });
		expect(await again.result()).toBe("AGAIN!");
		expect(registry.asked.length).toBe(asks);
	}, 60_000);

	it("leaves packages out of the bundle that its manifest names, also as CommonJS", async () => {
		for (const index of [
			"import shout from 'shout'; export default () => shout('out');",
			"const shout = require('shout'); module.exports = { default: () => shout('out') };",
		]) {
			const made = await deployed(sourceWith(index, SHOUT, shoutLocked()), { external: ["shout"] });
			expect(dependenciesOf(made.version)).toMatchObject({ inImage: true });
			expect(await made.result()).toBe("OUT!");
		}
	});

	it("loads what reads files of its own from a layer of its image", async () => {
		const dependencies = { "reads-itself": "1.0.0" };
		const made = await deployed(
			sourceWith("import words from 'reads-itself'; export default () => words();", dependencies, {
				"node_modules/reads-itself": registry.locked("reads-itself", "1.0.0"),
			}),
		);
		expect(await made.result()).toBe("from beside it");
		expect(dependenciesOf(made.version)).toMatchObject({ cached: false, inImage: true });
		expect(made.version.image?.layers).toHaveLength(2);
	});
});

/** A source that brings no lock file. */
function unlocked(index: string, dependencies: Readonly<Record<string, string>>, more: Readonly<Record<string, unknown>> = {}) {
	return sourceWith(index, dependencies, {}, more).filter(({ path }) => path !== "package-lock.json");
}

describe("a source with package.json and no lock file", () => {
	const index = "import { louder } from '@test/louder'; export default () => louder('hi');";
	const LOUDER = { "@test/louder": "^2.0.0" };

	it("is resolved once, and its version has the lock file that it would be deployed with", async () => {
		const first = await deployed(unlocked(index, LOUDER));
		expect(await first.result()).toBe("HI!!!");
		expect(first.version.build?.lockfile).toMatchObject({ cached: false, packages: 2 });
		const lockfile = await stack.client.lockfile(first.name, first.version.number);
		expect(JSON.parse(lockfile.toString())).toMatchObject({
			lockfileVersion: 3,
			packages: {
				"node_modules/@test/louder": registry.locked("@test/louder", "2.1.0"),
				"node_modules/shout": registry.locked("shout", "1.0.0"),
			},
		});
		const asks = registry.asked.length;
		const withLock = await deployed([...unlocked(`${index}// locked`, LOUDER), { path: "package-lock.json", body: lockfile }]);
		expect(dependenciesOf(withLock.version)).toMatchObject({ cached: true });
		expect(withLock.version.build?.lockfile).toBeUndefined();
		const again = await deployed(unlocked(`${index}// again`, LOUDER, { name: "other" }));
		expect(again.version.build?.lockfile).toMatchObject({ ...first.version.build?.lockfile, cached: true });
		expect(registry.asked.length).toBe(asks);
		await expect(stack.client.lockfile(withLock.name, withLock.version.number)).rejects.toMatchObject({ problem: { code: "not_found" } });
	});

	it("keeps to what was resolved when the registry has something newer", async () => {
		registry.publish({ name: "grows", version: "1.0.0", files: { "index.js": "module.exports = 1;" } });
		const source = (comment: string) => unlocked(`import it from 'grows'; export default () => it; // ${comment}`, { grows: "^1.0.0" });
		expect(await (await deployed(source("first"))).result()).toBe(1);
		registry.publish({ name: "grows", version: "1.1.0", files: { "index.js": "module.exports = 1.1;" } });
		expect(await (await deployed(source("second"))).result()).toBe(1);
	});

	it("is deployed by the command line, which keeps the lock file when it is told to", async () => {
		const directory = await mkdtemp(join(tmpdir(), "berth-lock-"));
		try {
			for (const { path, body = "" } of unlocked(index, LOUDER)) await writeFile(join(directory, path), body);
			const first = await stack.berth("deploy", directory, "--name", freshName());
			expect(first.code).toBe(0);
			expect(first.stdout).toMatch(/lock file +the source has none: resolved to 2 packages/);
			const saved = await stack.berth("deploy", directory, "--name", freshName(), "--save-lock", "--json");
			expect(JSON.parse(saved.stdout)).toMatchObject({ savedLock: join(directory, "package-lock.json") });
			const third = await stack.berth("deploy", directory, "--name", freshName(), "--save-lock", "--json");
			expect(JSON.parse(third.stdout).version.build).not.toHaveProperty("lockfile");
		} finally {
			await rm(directory, { recursive: true });
		}
	});

	it("is refused where a package depends on what is no registry's, or isn't there", async () => {
		registry.publish({ name: "strays", version: "1.0.0", manifest: { dependencies: { x: "git+https://example.com/x.git" } }, files: {} });
		registry.publish({ name: "calls", version: "1.0.0", manifest: { dependencies: { x: "http://169.254.169.254/x.tgz" } }, files: {} });
		const git = await refusal(unlocked(index, { strays: "1.0.0" }));
		expect(git).toMatchObject({ status: 422, code: "install_failed", detail: expect.stringContaining("a package depends on git") });
		const url = await refusal(unlocked(index, { calls: "1.0.0" }));
		expect(url).toMatchObject({ status: 422, code: "install_failed", detail: expect.stringContaining("a package depends on a URL") });
		const absent = await refusal(unlocked(index, { "not-there": "1.0.0" }));
		expect(absent).toMatchObject({
			status: 422,
			code: "install_failed",
			detail: expect.stringMatching(/isn't in the registry.*not-there/),
		});
	});

	it("takes records of packages up to a size, and no other", async () => {
		registry.publish({ name: "huge", version: "1.0.0", files: {} });
		registry.instead = ({ url }, response) => {
			if (url !== "/huge") return false;
			response.writeHead(200, { "content-type": "application/json" });
			response.end(`{"name":"huge","padding":"${"x".repeat(33 * MIB)}"}`);
			return true;
		};
		const problem = await refusal(unlocked(index, { huge: "1.0.0" }));
		registry.instead = () => false;
		expect(problem).toMatchObject({
			code: "registry_unavailable",
			detail: expect.stringContaining(`/huge: it is more than ${32 * MIB} bytes`),
		});
	});
});

describe("a source with pnpm-lock.yaml", () => {
	const index = "import { louder } from '@test/louder'; import shout from 'shout'; export default () => louder('hi') + shout('x');";
	const DEPENDENCIES = { "@test/louder": "^2.0.0", shout: "^2.0.0" };

	/** As pnpm 10 writes it: one version of shout is the source's, another one louder's. */
	function pnpmLock(integrity = (name: string, version: string) => registry.locked(name, version)["integrity"]): string {
		const packages = [
			["@test/louder", "2.1.0"],
			["shout", "1.0.0"],
			["shout", "2.0.0"],
		] as const;
		return `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true

importers:

  .:
    dependencies:
      '@test/louder':
        specifier: ^2.0.0
        version: 2.1.0
      shout:
        specifier: ^2.0.0
        version: 2.0.0

packages:
${packages.map(([name, version]) => `\n  '${name}@${version}':\n    resolution: {integrity: ${integrity(name, version)}}\n`).join("")}
snapshots:

  '@test/louder@2.1.0':
    dependencies:
      shout: 1.0.0

  shout@1.0.0: {}

  shout@2.0.0: {}
`;
	}
	const withPnpm = (lock: string) => [
		...unlocked(index, DEPENDENCIES),
		{ path: "pnpm-lock.yaml", body: lock },
		{ path: ".pnpmfile.cjs", body: "require('node:fs').writeFileSync('/tmp/ran', ''); throw new Error('it was run');" },
	];

	it("has what it says installed, with its integrity, and no pnpmfile run", async () => {
		registry.publish({ name: "shout", version: "2.0.0", files: { "index.js": "module.exports = (text) => '2' + text;" } });
		const made = await deployed(withPnpm(pnpmLock()));
		expect(await made.result()).toBe("HI!!!2x");
		expect(made.version.build?.lockfile).toBeUndefined();
		const wrong = await refusal(withPnpm(pnpmLock(() => `sha512-${"A".repeat(86)}==`)));
		expect(wrong).toMatchObject({
			status: 422,
			code: "install_failed",
			detail: expect.stringMatching(/bytes aren't those.*: wanted sha512-A+== but got .*npm said: npm warn tarball tarball data for/),
		});
	});
});

describe("packages with install scripts", () => {
	const index = "import made from 'makes'; export default () => made();";
	const lines = async ({ name, version }: Deployed) => (await stack.client.buildLog(name, version.number)).lines.map(({ text }) => text);
	const source = (comment = "") => {
		const packages = ["makes", "makes-first", "left-alone"].map((name) => [
			`node_modules/${name}`,
			{ ...registry.locked(name, "1.0.0"), ...(name === "makes" ? { dependencies: { "makes-first": "1.0.0" } } : {}) },
		]);
		return sourceWith(index + comment, { makes: "1.0.0", "left-alone": "1.0.0" }, Object.fromEntries(packages));
	};
	beforeAll(() => {
		registry.publish({
			name: "makes-first",
			version: "1.0.0",
			manifest: { scripts: { postinstall: "echo first > first.txt" }, bin: { "say-it": "say.js" } },
			files: { "say.js": "#!/usr/bin/env node\nconsole.log('said', process.argv[2], process.env.npm_package_version)" },
		});
		registry.publish({
			name: "makes",
			version: "1.0.0",
			manifest: {
				dependencies: { "makes-first": "1.0.0" },
				scripts: {
					preinstall: "false || cp ../makes-first/first.txt made.txt",
					install: "say-it $npm_lifecycle_event >> made.txt",
					postinstall: "cat made.txt",
				},
			},
			files: {
				"index.js": "const { readFileSync } = require('node:fs'); module.exports = () => readFileSync(__dirname + '/made.txt', 'utf8');",
			},
		});
		registry.publish({ name: "left-alone", version: "1.0.0", manifest: { scripts: { install: "exit 1" } }, files: { "index.js": "" } });
	});

	it("have them run where the manifest names them, in the order of their dependencies, once", async () => {
		const scripts = ["makes", "makes-first"];
		const made = await deployed(source(), { scripts });
		expect(await made.result()).toBe("first\nsaid install 1.0.0\n");
		const log = await lines(made);
		expect(log.filter((line) => line.startsWith("ran the"))).toEqual([
			"ran the postinstall script of makes-first",
			...["preinstall", "install", "postinstall"].map((event) => `ran the ${event} script of makes`),
		]);
		expect(log).toContain("  said install 1.0.0");
		expect(log.filter((line) => line.startsWith("not run"))).toEqual([expect.stringMatching(/install scripts of left-alone;.*`scripts`/)]);
		const again = await deployed(source("// again"), { scripts: scripts.toReversed() });
		expect(dependenciesOf(again.version)).toMatchObject({ cached: true });
		expect(await again.result()).toBe("first\nsaid install 1.0.0\n");
	});

	it("don't share a layer, or a bundle, with the same packages without", async () => {
		const without = await deployed(source());
		expect((await without.invoke()).outcome).toBe("handler_error");
		expect((await lines(without)).find((line) => line.startsWith("not run"))).toMatch(/left-alone, makes, makes-first/);
	});

	it("compile with this node's compiler, for the Node that the function runs on, and start what they made", async () => {
		const addon = `
			#include <node.h>
			static void Answer(const v8::FunctionCallbackInfo<v8::Value>& args) { args.GetReturnValue().Set(NODE_MODULE_VERSION); }
			NODE_MODULE_INIT() { NODE_SET_METHOD(exports, "abi", Answer); }`;
		registry.publish({
			name: "compiles",
			version: "1.0.0",
			// Without a script of its own: what has a recipe for node-gyp is compiled.
			manifest: { scripts: { postinstall: "cc -o said said.c && ./said > said.txt" } },
			files: {
				"binding.gyp": '{ "targets": [{ "target_name": "addon", "sources": ["addon.cc"] }] }',
				"addon.cc": addon,
				"said.c": '#include <stdio.h>\nint main(void) { puts("made and started"); return 0; }',
				"index.js":
					"exports.abi = () => require('./build/Release/addon.node').abi(); exports.said = () => require('fs').readFileSync(__dirname + '/said.txt', 'utf8');",
			},
		});
		const entries = sourceWith(
			"import { abi, said } from 'compiles'; export default () => [abi(), said(), process.versions.modules];",
			{ compiles: "1.0.0" },
			{ "node_modules/compiles": registry.locked("compiles", "1.0.0") },
		);
		const made = await deployed(entries, { scripts: ["compiles"], runtime: "node22" });
		expect(await made.result()).toEqual([127, "made and started\n", "127"]);
	}, 60_000);

	it("that fail end the build with what they said, and a hint", async () => {
		for (const [name, script, said] of [
			["errs", "node-gyp rebuild", /install script of errs ended with 1\. It said:.*binding\.gyp not found/],
			[
				"downloads",
				"node -e \"fetch('http://example.com/')\"",
				/install script of downloads ended with 1: scripts have no network.*EAI_AGAIN/,
			],
			["complains", "echo it is so; exit 3", /install script of complains ended with 3\. It said: it is so/],
		] as const) {
			registry.publish({ name, version: "1.0.0", manifest: { scripts: { install: script } }, files: { "index.js": "" } });
			const entries = sourceWith(
				"export default () => 1;",
				{ [name]: "1.0.0" },
				{ [`node_modules/${name}`]: registry.locked(name, "1.0.0") },
			);
			const error = await deployed(entries, { scripts: [name] }).catch((reason: unknown) => reason);
			expect(error).toMatchObject({ problem: { status: 422, code: "install_failed", detail: expect.stringMatching(said) } });
		}
	});

	it("are refused where one is named that isn't there, has none, or can't have one", async () => {
		const refused = async (entries: readonly TarEntry[], scripts: string[]) =>
			((await deployed(entries, { scripts }).catch((reason: unknown) => reason)) as ApiError).problem;
		const shout = sourceWith("import shout from 'shout'; export default () => shout('x');", SHOUT, shoutLocked());
		expect(await refused(shout, ["shout"])).toMatchObject({
			code: "dependencies_rejected",
			detail: expect.stringMatching(/"shout", which isn't installed, or has no install script; no installed package has one/),
		});
		expect((await refused(source(), ["absent"])).detail).toMatch(/"absent".*those that have one: left-alone, makes, makes-first/);
		const none = [{ path: "index.ts", body: "export default () => 1;" }];
		expect((await refused(none, ["makes"])).detail).toMatch(/none is installed for this source/);
	});
});

describe("dependencies that can't be had", () => {
	const index = "import shout from 'shout'; export default () => shout('hi');";

	it("because the registry hasn't the package are refused with npm's words", async () => {
		const locked = {
			"node_modules/absent": { version: "1.0.0", resolved: `${registry.url}/absent/-/absent-1.0.0.tgz`, integrity: "sha512-AAAA" },
		};
		const problem = await refusal(sourceWith(index, { absent: "1.0.0" }, locked));
		expect(problem).toMatchObject({ status: 422, code: "install_failed", phase: "install" });
		expect(problem.detail).toMatch(/isn't in the registry.*absent/);
	});

	it("because the bytes are others than the lock file's are refused", async () => {
		registry.publish({ name: "changed", version: "1.0.0", files: { "index.js": "exports.a = 1;" } });
		const locked = { "node_modules/changed": registry.locked("changed", "1.0.0") };
		registry.publish({ name: "changed", version: "1.0.0", files: { "index.js": "exports.a = 'evil';" } });
		const problem = await refusal(sourceWith(index, { changed: "1.0.0" }, locked));
		expect(problem).toMatchObject({ status: 422, code: "install_failed" });
		expect(problem.detail).toMatch(/bytes aren.t those.*: wanted sha512-.*changed@http/);
	});

	it("because package.json asks for more than the lock file has are refused", async () => {
		const problem = await refusal(sourceWith(index, { ...SHOUT, "reads-itself": "1.0.0" }, shoutLocked()));
		expect(problem).toMatchObject({ status: 422, code: "install_failed" });
		expect(problem.detail).toMatch(/don't belong together.*reads-itself/);
	});

	it("because the registry fails are the platform's fault, and may be had later", async () => {
		registry.publish({ name: "later", version: "1.0.0", files: { "index.js": "module.exports = () => 'later';" } });
		const source = sourceWith(
			"import later from 'later'; export default () => later();",
			{ later: "1.0.0" },
			{ "node_modules/later": registry.locked("later", "1.0.0") },
		);
		registry.instead = (request, response) => request.url?.startsWith("/later") === true && response.writeHead(503).end() !== undefined;
		expect(await refusal(source)).toMatchObject({ status: 503, code: "registry_unavailable", retryable: true });
		registry.instead = () => false;
		expect(await (await deployed(source)).result()).toBe("later");
	});

	it("because only another tool's lock file is there are refused, and not resolved past it", async () => {
		const entries = sourceWith(index, SHOUT, {}).map((one) => (one.path === "package-lock.json" ? { ...one, path: "yarn.lock" } : one));
		const problem = await refusal(entries);
		expect(problem).toMatchObject({ status: 422, code: "dependencies_rejected" });
		expect(problem.detail).toMatch(/yarn\.lock is Yarn's.*npm install --package-lock-only/);
	});

	it("because they have more bytes than there may be are refused, however small their packages are", async () => {
		const block = `${randomBytes(8 * KIB)
			.toString("latin1")
			.replace(/[^\x20-\x7e]/g, "x")}${"\0".repeat(MIB)}`;
		const files = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`large-${i}`, block.repeat(29)]));
		registry.publish({ name: "large", version: "1.0.0", files });
		const problem = await refusal(sourceWith(index, { large: "1.0.0" }, { "node_modules/large": registry.locked("large", "1.0.0") }));
		expect(problem).toMatchObject({ status: 422, code: "dependencies_rejected" });
		expect(problem.detail).toContain(`more than ${256 * MIB} bytes`);
	});

	it("because they have more files than there may be are refused", async () => {
		const files = Object.fromEntries(Array.from({ length: 40_001 }, (_, i) => [`f/${i}`, ""]));
		registry.publish({ name: "many", version: "1.0.0", files });
		const problem = await refusal(sourceWith(index, { many: "1.0.0" }, { "node_modules/many": registry.locked("many", "1.0.0") }));
		expect(problem).toMatchObject({ status: 422, code: "dependencies_rejected" });
		expect(problem.detail).toContain("more than 40000 files");
	});

	it("because a package unpacks to a thousand times its size are refused", async () => {
		registry.publish({ name: "bomb", version: "1.0.0", files: { zeros: "\0".repeat(64 * MIB) } });
		const problem = await refusal(sourceWith(index, { bomb: "1.0.0" }, { "node_modules/bomb": registry.locked("bomb", "1.0.0") }));
		expect(problem).toMatchObject({ status: 422, code: "install_failed" });
		expect(problem.detail).toMatch(/decompression ratio/);
	});

	it("because the manifest's external isn't among them are refused", async () => {
		const error = await deployed(sourceWith(index, SHOUT, shoutLocked()), { external: ["absent"] }).catch((reason: unknown) => reason);
		expect(error).toMatchObject({ problem: { status: 422, code: "build_failed", detail: expect.stringContaining("absent") } });
	});
});
