import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { DeployAnswer } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { Upkeep } from "./upkeep.js";

const NO_BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack();
});
afterEach(async () => {
	stack.onBuild(undefined);
	const { functions } = (await (await stack.fetch("/v1/functions")).json()) as { functions: { name: string }[] };
	for (const { name } of functions) await stack.fetch(`/v1/functions/${name}`, { method: "DELETE" });
});
afterAll(() => stack?.close());

const put = (name: string, body: unknown, query = "?wait=true") =>
	stack.fetch(`/v1/functions/${name}${query}`, {
		method: "PUT",
		body: typeof body === "string" ? body : JSON.stringify(body),
		headers: { "content-type": "application/json" },
	});
const putArchive = (body: NonNullable<RequestInit["body"]>, type: string, manifest?: string) =>
	stack.fetch("/v1/functions/zipped?wait=true", {
		method: "PUT",
		body,
		headers: { "content-type": type, ...(manifest === undefined ? {} : { "berth-manifest": manifest }) },
	});
const sources = () => readdirSync(join(stack.directory, "sources", "sha256"));
const SOURCE = { source: "export default () => 1" };

describe("a deploy", () => {
	test("that is waited for is 201 with the ready version", async () => {
		const answer = await put("hello", { ...SOURCE, memoryMiB: 256 });
		expect(answer.status).toBe(201);
		expect(answer.headers.get("location")).toMatch(/^\/v1\/functions\/hello\/versions\/\d+$/);
		expect(await answer.json()).toMatchObject({
			unchanged: false,
			version: { state: "ready", manifest: { memoryMiB: 256, timeoutMs: 30_000 } },
		});
		expect(await (await stack.fetch("/v1/functions/hello")).json()).toMatchObject({ name: "hello", version: { state: "ready" } });
	});

	test("that isn't is 202 with the queued version's place", async () => {
		stack.onBuild(() => new Promise(() => undefined));
		const answer = await put("hello", SOURCE, "");
		expect(answer.status).toBe(202);
		const version = await (await stack.fetch(answer.headers.get("location") ?? "")).json();
		expect(version).toMatchObject({ function: "hello", state: "queued" });
	});

	test("of the same again changes nothing; other settings or another source make a version", async () => {
		const first = ((await (await put("hello", SOURCE)).json()) as DeployAnswer).version.number;
		const same = await put("hello", SOURCE);
		expect([same.status, await same.json()]).toMatchObject([200, { unchanged: true, version: { number: first } }]);
		expect(await (await put("hello", { ...SOURCE, timeoutMs: 50 })).json()).toMatchObject({ version: { number: first + 1 } });
		expect(await (await put("hello", SOURCE)).json()).toMatchObject({ version: { number: first + 2 } });
	});

	test("whose build fails says phase and place, serves the old version on, and keeps no source", async () => {
		await put("hello", SOURCE);
		const kept = sources();
		const diagnostics = [{ severity: "error" as const, message: 'Expected ")"', file: "index.ts", line: 3, column: 7 }];
		stack.onBuild(async ({ project, function: name, version }) => {
			const { functions } = stack.services;
			const found = await functions.getVersion(project, name, version);
			if (found === undefined) return;
			const failure = { code: "build_failed" as const, phase: "bundle" as const, message: "It doesn't build.", diagnostics };
			await functions.endBuild(found, { state: "failed", failure, build: NO_BUILD });
			await stack.services.artifacts.sources.remove(found.source.digest, (digest) => functions.usesSource(digest));
		});
		const answer = await put("hello", { source: "export default (" });
		expect(answer.status).toBe(422);
		expect(await answer.json()).toMatchObject({
			code: "build_failed",
			phase: "bundle",
			issues: [{ field: "index.ts:3:7", message: 'Expected ")"' }],
			diagnostics,
		});
		await expect.poll(sources).toEqual(kept);
		const { latest } = (await (await stack.fetch("/v1/functions/hello")).json()) as { latest: number };
		expect((await stack.fetch(`/v1/functions/hello/versions/${latest}/source`)).status).toBe(404);
		expect((await stack.fetch(`/v1/functions/hello/versions/${latest - 1}/source`)).status).toBe(200);
		expect(await (await stack.fetch("/v1/functions/hello")).json()).toMatchObject({ version: { state: "ready" } });
		// The same broken source again isn't taken for the live version.
		expect((await put("hello", { source: "export default (" })).status).toBe(422);
	});

	test("100 of one name at once get 100 numbers, and the last of them is live", async () => {
		const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => put("racing", { source: `export default ${i}` })));
		const numbers = await Promise.all(answers.map(async (answer) => ((await answer.json()) as DeployAnswer).version.number));
		const sorted = [...numbers].sort((a, b) => a - b);
		expect(new Set(numbers).size).toBe(100);
		expect((sorted.at(-1) ?? 0) - (sorted[0] ?? 0)).toBe(99);
		expect(await (await stack.fetch("/v1/functions/racing")).json()).toMatchObject({ live: sorted.at(-1), latest: sorted.at(-1) });
	});

	test("of an archive has its manifest in a header", async () => {
		const answer = await putArchive("not looked into here", "application/gzip", '{"entry":"src/main.ts","memoryMiB":64}');
		expect(await answer.json()).toMatchObject({
			version: { manifest: { entry: "src/main.ts", memoryMiB: 64 }, source: { kind: "tar.gz" } },
		});
	});
});

describe("a deploy is refused, and nothing of it stays, for", () => {
	const refused = async (answer: Response, status: number, problem: object) => {
		expect([answer.status, await answer.json()]).toMatchObject([
			status,
			{ ...problem, instance: expect.stringMatching(/^urn:berth:request:req_/) },
		]);
		expect(sources()).toEqual([]);
		expect(await (await stack.fetch("/v1/functions")).json()).toEqual({ functions: [] });
	};

	test.each([
		[{ ...SOURCE, memoryMb: 128 }, "memoryMb", /did you mean memoryMiB\?/],
		[{ ...SOURCE, memoryMiB: 5000 }, "memoryMiB", /^a whole number of MiB from 64 to 4096$/],
		[{ ...SOURCE, timeoutMs: "1s" }, "timeoutMs", /^a whole number of milliseconds from 10 to 900000$/],
		[{ ...SOURCE, cpuMilli: 1.5 }, "cpuMilli", /^a whole number of thousandths of a core/],
		[{ ...SOURCE, runtime: "node18" }, "runtime", /^one of: node24, node22, python3, custom$/],
		[{ ...SOURCE, network: "bridge" }, "network", /^none, internet, host/],
		[{ ...SOURCE, network: "host" }, "network", /BERTH_HOST_NETWORK/],
		[{ ...SOURCE, network: { allow: ["example.com", "10.0.0.1:80"] } }, "network.allow.1", /^10\.0\.0\.1 isn't a public address/],
		[{ ...SOURCE, network: { allow: ["https://example.com/"] } }, "network.allow.0", /^a host as in api\.example\.com/],
		[{ ...SOURCE, reuse: 0 }, "reuse", /version, never or/],
		[{ ...SOURCE, env: { "1A": "x" } }, "env.1A", /a letter or _/],
		[{ ...SOURCE, env: { A: "x".repeat(40_000) } }, "env", /32768 bytes/],
		[{ ...SOURCE, filename: "../a.ts" }, "filename", /^bootstrap, or a file name, without a directory/],
		[{ ...SOURCE, filename: "" }, "filename", /^bootstrap, or a file name/],
		[{ ...SOURCE, filename: 5 }, "filename", /^bootstrap, or a file name/],
		[{ ...SOURCE, entry: "index.ts" }, "entry", /filename/],
		[{ ...SOURCE, dockerfile: "Dockerfile" }, "dockerfile", /^names a file of an archive/],
		[{ ...SOURCE, env: null }, "env", /^variables by name/],
		[{ ...SOURCE, env: { A: 1 } }, "env.A", /^a value is text/],
		[{ ...SOURCE, env: { "": "x" } }, 'env.""', /a letter or _/],
		[{ ...SOURCE, filename: "a.rb" }, "filename", /\.ts.*\.py/],
		[
			{ ...SOURCE, filename: "a.py" },
			"filename",
			/^a\.py is Python, and the runtime is node24; say "runtime": "python3", or name it index\.ts$/,
		],
		[{ ...SOURCE, filename: "a.ts", runtime: "python3" }, "filename", /^a\.ts is JavaScript or TypeScript, and the runtime is python3/],
		[{ ...SOURCE, filename: "bootstrap" }, "filename", /^bootstrap is a program, and the runtime is node24; say "runtime": "custom"/],
		[{ memoryMiB: 128 }, "source", /text/],
		[{ source: "" }, "source", /empty/],
	])("%j", async (body, field, message) => {
		await refused(await put("hello", body), 400, {
			code: "invalid_manifest",
			issues: expect.arrayContaining([{ field, message: expect.stringMatching(message) }]),
		});
	});

	test.each([
		["{", "isn't valid JSON"],
		["", "is empty"],
		["null", "object"],
		["[1]", "object"],
		[`${"[".repeat(100_000)}${"]".repeat(100_000)}`, "nested too deeply"],
		[`{"source":"x","env":{${Array.from({ length: 1000 }, (_, i) => `"-${i}":1`).join()}}}`, "more than 1000 fields"],
		['{"source":"x","__proto__":{"memoryMiB":64}}', "__proto__"],
		['{"source":"x","env":{"__proto__":"y"}}', "__proto__"],
	])("the body %.40s", async (body, detail) => {
		await refused(await put("hello", body), 400, { detail: expect.stringContaining(detail) });
	});

	test("a body that isn't UTF-8", async () => {
		const body = Buffer.concat([Buffer.from('{"source":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
		const answer = await stack.fetch("/v1/functions/hello", { method: "PUT", body, headers: { "content-type": "application/json" } });
		await refused(answer, 400, { code: "invalid_request", detail: "the body isn't UTF-8" });
	});

	test.each(["Hello", "1hello", "hello_x", "a".repeat(64), "..%2f..%2fetc", "hel%00lo", "h%C3%A9llo", "__proto__", "-a"])(
		"the name %s",
		async (name) => refused(await put(name, SOURCE), 400, { code: "invalid_name", issues: [{ field: "name" }] }),
	);

	test("a content type that isn't one of ours", async () =>
		refused(await putArchive("x", "text/plain"), 415, { code: "unsupported_media_type" }));
	test("an empty archive", async () => refused(await putArchive("", "application/zip"), 400, { code: "invalid_request" }));
	test("a manifest that isn't JSON", async () =>
		refused(await putArchive("x", "application/zip", "{no"), 400, { code: "invalid_request" }));
	test.each([
		["application/gzip", { runtime: "node24", dockerfile: "Dockerfile" }, "runtime", /brings its own language/],
		["application/gzip", { dockerfile: "../Dockerfile" }, "dockerfile", /relative path/],
		["application/gzip", { dockerfile: "Dockerfile", entry: "x" }, "entry", /no such field/],
		["application/zip", { dockerfile: "Dockerfile" }, "dockerfile", /application\/gzip/],
		["application/x-tar", { dockerfile: "Dockerfile" }, "dockerfile", /no such field/],
	])("as %s a manifest %j", async (type, manifest, field, message) => {
		await refused(await putArchive("x", type, JSON.stringify(manifest)), 400, {
			code: "invalid_manifest",
			issues: [{ field, message: expect.stringMatching(message) }],
		});
	});
	test("a manifest with an entry outside", async () => {
		await refused(await putArchive("x", "application/zip", '{"entry":"a\\n/../../b"}'), 400, {
			code: "invalid_manifest",
			issues: [{ field: "entry" }],
		});
	});
});

describe("what is deleted", () => {
	test("is gone with its source; a source that another function has stays", async () => {
		await put("one", SOURCE);
		await put("two", SOURCE);
		expect(sources()).toHaveLength(1);
		expect((await stack.fetch("/v1/functions/one", { method: "DELETE" })).status).toBe(204);
		expect(sources()).toHaveLength(1);
		expect((await stack.fetch("/v1/functions/two", { method: "DELETE" })).status).toBe(204);
		expect(sources()).toEqual([]);
		expect((await stack.fetch("/v1/functions/two", { method: "DELETE" })).status).toBe(404);
		const keys = await stack.redis.client((client) => client.keys("*{berth}:*"));
		expect(keys.filter((key) => /:(?:one|two)|source|unfinished/.test(key.replace(/counter.*/, "")))).toEqual([]);
	});

	test("while it is built stays deleted, and its number isn't given again", async () => {
		const building = Promise.withResolvers<void>();
		const go = Promise.withResolvers<void>();
		let ended: boolean | undefined;
		stack.onBuild(async ({ project, function: name, version }) => {
			const { functions } = stack.services;
			const found = await functions.getVersion(project, name, version);
			if (found === undefined) return;
			building.resolve();
			await go.promise;
			ended = await functions.endBuild(found, {
				state: "failed",
				failure: { code: "build_failed", phase: "bundle", message: "", diagnostics: [] },
				build: NO_BUILD,
			});
		});
		const answer = put("brief", SOURCE);
		await building.promise;
		await stack.fetch("/v1/functions/brief", { method: "DELETE" });
		expect((await answer).status).toBe(404);
		go.resolve();
		await expect.poll(() => ended).toBe(false);
		stack.onBuild(undefined);
		expect(((await (await put("brief", SOURCE)).json()) as DeployAnswer).version.number).toBe(2);
	});
});

describe("the upkeep", () => {
	test("puts a build back that isn't in the queue", async () => {
		const { functions, artifacts } = stack.services;
		const bytes = Buffer.from("export default 1");
		const digest = await artifacts.sources.put(bytes);
		const manifest = ((await (await put("other", SOURCE)).json()) as DeployAnswer).version.manifest;
		const { version } = await functions.createVersion("default", "lost", manifest, { kind: "file", digest, sizeBytes: bytes.length });
		await new Upkeep(stack.services).run();
		expect(await functions.waitForBuild(version, 5000)).toMatchObject({ state: "ready" });
		expect(await functions.unfinished()).toEqual([]);
	});

	test("removes what is left of the counters of a removed project", async () => {
		const { functions, keys } = stack.services;
		await keys.projects.make("left");
		await functions.reserveNumber("left", "hello");
		await keys.projects.remove("left");
		const counters = () => stack.redis.client((redis) => redis.keys("{berth}:counter:left/*"));
		expect(await counters()).toHaveLength(1);
		await new Upkeep(stack.services).run();
		expect(await counters()).toEqual([]);
	});

	test("removes a source that nobody uses, after a while", async () => {
		const { artifacts } = stack.services;
		await put("hello", SOURCE);
		const digest = await artifacts.sources.put(Buffer.from("left behind"));
		expect(await artifacts.sources.sweep(async (one) => !(await stack.services.functions.usesSource(one)), 60_000)).toBe(0);
		expect(await artifacts.sources.sweep(async (one) => !(await stack.services.functions.usesSource(one)), -1000)).toBe(1);
		expect(await artifacts.sources.has(digest)).toBe(false);
		expect(sources()).toHaveLength(1);
	});
});
