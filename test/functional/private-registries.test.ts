import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TarEntry } from "../harness/archives.js";
import { deployTar, refusalOf } from "../harness/functions.js";
import { PackageRegistry, sourceWith } from "../harness/package-registry.js";
import { Stack } from "../harness/stack.js";

const TOKEN = "npm_S3cr3tT0kenThatNobodySees";

let open: PackageRegistry;
let closed: PackageRegistry;
let elsewhere: PackageRegistry;
let stack: Stack;
beforeAll(async () => {
	[open, closed, elsewhere] = await Promise.all([PackageRegistry.open(), PackageRegistry.open(), PackageRegistry.open()]);
	closed.publish({
		name: "@acme/secret",
		version: "1.0.0",
		manifest: { dependencies: { plain: "1.0.0" } },
		files: { "index.js": "module.exports = require('plain') + ' and secret';" },
	});
	open.publish({ name: "plain", version: "1.0.0", files: { "index.js": "module.exports = 'plain';" } });
	stack = await Stack.start({
		BERTH_PREWARMED: "0",
		BERTH_NPM_REGISTRY: open.url,
		BERTH_PACKAGE_REGISTRIES: `${closed.url},${elsewhere.url}`,
		BERTH_LOG_LEVEL: "debug",
	});
});
afterAll(async () => {
	await stack?.stop();
	for (const registry of [open, closed, elsewhere]) await registry?.[Symbol.asyncDispose]();
});
beforeEach(() => {
	closed.wants = `Bearer ${TOKEN}`;
	closed.instead = () => false;
});

const host = () => new URL(closed.url).host;
const SECRET = { "@acme/secret": "^1.0.0" };
let made = 0;
const index = () => `import it from '@acme/secret'; export default () => it; // ${++made}`;
const locked = () =>
	sourceWith(index(), SECRET, {
		"node_modules/@acme/secret": { ...closed.locked("@acme/secret", "1.0.0"), dependencies: { plain: "1.0.0" } },
		"node_modules/plain": open.locked("plain", "1.0.0"),
	});
const unlocked = () => locked().filter(({ path }) => path !== "package-lock.json");

const deployed = (entries: readonly TarEntry[]) => deployTar(stack, entries);
const refusal = (entries: readonly TarEntry[]) => refusalOf(deployed(entries));

/** `berth registry …` with something on its stdin. */
async function registry(args: readonly string[], stdin = ""): Promise<{ readonly code: number | null; readonly out: string }> {
	const cli = join(import.meta.dirname, "../../packages/cli/bin/berth.mjs");
	const child = spawn(process.execPath, [cli, "--url", stack.url, "--key", stack.key, "registry", ...args], {
		stdio: ["pipe", "pipe", "pipe"],
	});
	child.stdin.end(stdin);
	const ended = once(child, "close") as Promise<[number | null]>;
	const [out, log, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
	return { code, out: `${out}${log}` };
}

describe("a private package registry", () => {
	it("isn't used before it is set, and without a login it is told what is missing", async () => {
		expect(await refusal(locked())).toMatchObject({
			code: "dependencies_rejected",
			detail: expect.stringMatching(/isn't a package registry of this project.*berth registry set/),
		});
		await stack.client.setPackageRegistry(host(), { scopes: ["@acme"] });
		expect(await refusal(locked())).toMatchObject({ code: "install_failed", detail: expect.stringContaining("wants a login") });
	});

	it("is set by the command line, and its packages are installed: as locked, and resolved by scope", async () => {
		const set = await registry(["set", host(), "--scope", "@acme", "--token-stdin"], `${TOKEN}\n`);
		expect(set).toMatchObject({ code: 0, out: expect.stringMatching(/@acme +token/) });
		const before = open.authorizations.length;
		expect(await (await deployed(locked())).result()).toBe("plain and secret");
		const resolved = await deployed(unlocked());
		expect(await resolved.result()).toBe("plain and secret");
		expect((await stack.client.lockfile(resolved.name, resolved.version.number)).toString()).toContain(`${closed.url}/@acme/secret/-/`);
		// To its own host alone.
		expect(new Set(open.authorizations.slice(before))).toEqual(new Set([undefined]));
		expect(closed.authorizations.at(-1)).toBe(`Bearer ${TOKEN}`);
	});

	it("may want a name and a password", async () => {
		closed.publish({ name: "@acme/basic", version: "1.0.0", files: { "index.js": "module.exports = 'basic';" } });
		closed.wants = `Basic ${Buffer.from("ann:pass:word").toString("base64")}`;
		expect(await registry(["set", host(), "--scope", "@acme", "--username", "ann", "--password-stdin"], "pass:word")).toMatchObject({
			code: 0,
		});
		const source = sourceWith("import it from '@acme/basic'; export default () => it;", { "@acme/basic": "1.0.0" }, {}).filter(
			({ path }) => path !== "package-lock.json",
		);
		expect(await (await deployed(source)).result()).toBe("basic");
		await stack.client.setPackageRegistry(host(), { scopes: ["@acme"], token: TOKEN });
	});

	it("may redirect to where the operator lets it, without the login, and nowhere else", async () => {
		closed.publish({ name: "@acme/moved", version: "1.0.0", files: { "index.js": "module.exports = 'moved';" } });
		elsewhere.publish({ name: "@acme/moved", version: "1.0.0", files: { "index.js": "module.exports = 'moved';" } });
		const source = (comment: string) =>
			sourceWith(
				`import it from '@acme/moved'; export default () => it; // ${comment}`,
				{ "@acme/moved": "1.0.0" },
				{ "node_modules/@acme/moved": closed.locked("@acme/moved", "1.0.0") },
			);
		closed.instead = (request, response) =>
			response.writeHead(302, { location: `http://169.254.169.254${request.url}` }).end() !== undefined;
		expect(await refusal(source("away"))).toMatchObject({
			code: "registry_unavailable",
			detail: expect.stringMatching(/169\.254\.169\.254, which isn't followed/),
		});
		closed.instead = (request, response) => response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end() !== undefined;
		expect(await (await deployed(source("there"))).result()).toBe("moved");
		expect(elsewhere.asked.length).toBeGreaterThan(0);
		expect(new Set(elsewhere.authorizations)).toEqual(new Set([undefined]));
	});

	it("has its login nowhere but sealed: not in answers, logs, images, files or Redis", async () => {
		closed.wants = "Bearer another";
		closed.publish({ name: "@acme/refused", version: "1.0.0", files: {} });
		const problem = await refusal(sourceWith(index(), { "@acme/refused": "1.0.0" }, {}).filter(({ path }) => path !== "package-lock.json"));
		const list = await stack.client.packageRegistries();
		expect(list.registries).toMatchObject([{ host: host(), scopes: ["@acme"], login: "token" }]);
		const told = JSON.stringify([problem, list, await registry(["list", "--json"])]);
		expect(told).not.toContain(TOKEN);
		expect((await stat(join(stack.dataDir, "secrets.key"))).mode & 0o777).toBe(0o600);
		const all = await readdir(stack.dataDir, { recursive: true, withFileTypes: true });
		const files = all.filter((one) => one.isFile()).map(({ parentPath, name }) => join(parentPath, name));
		expect(files.length).toBeGreaterThan(20);
		for (const file of files) expect([file, (await readFile(file)).includes(TOKEN)]).toEqual([file, false]);
	});

	it("is one that the operator lists, with a login that is whole; removed, it is used no longer", async () => {
		for (const [name, input, field] of [
			["169.254.169.254", { token: "x" }, "host"],
			["evil.example.com", {}, "host"],
			[host(), { username: "ann" }, "password"],
			[host(), { token: "a b" }, "token"],
			[host(), { scopes: ["acme"] }, "scopes"],
		] as const) {
			const error = await stack.client
				.setPackageRegistry(name, { ...input, scopes: "scopes" in input ? [...input.scopes] : [] })
				.catch((reason: unknown) => reason);
			expect(error).toMatchObject({
				problem: { status: 400, code: "invalid_request", issues: [{ field: expect.stringContaining(field) }] },
			});
		}
		expect(await registry(["remove", host()])).toMatchObject({ code: 0 });
		expect(await registry(["remove", host()])).toMatchObject({
			code: 1,
			out: expect.stringContaining("no package registry of this project"),
		});
		// What was built with the login isn't had without it.
		expect(await refusal(locked())).toMatchObject({ code: "dependencies_rejected" });
	});
});
