import { describe, expect, it } from "vitest";
import { type TarEntry, tarGz, zip } from "../harness/archives.js";
import { eventually } from "../harness/eventually.js";
import { deploy, freshName, header, json } from "../harness/functions.js";
import { putFunction, send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const HELLO = "export default () => 'hello';";

describe("a deploy", () => {
	it("that is waited for answers 201 with the version ready to be invoked", async () => {
		const name = freshName();
		const answer = await putFunction(stack, name, { source: HELLO });
		expect(answer.status).toBe(201);
		expect(answer.headers.location).toBe(`/v1/functions/${name}/versions/1`);
		expect(json(answer)).toMatchObject({ unchanged: false, version: { number: 1, state: "ready", project: "default", function: name } });
		const invoked = await stack.client.invoke(name);
		expect(invoked.raw.body.toString()).toBe("hello");
	});

	it("that isn't waited for answers 202 with the place where its state can be followed", async () => {
		const name = freshName();
		const answer = await putFunction(stack, name, { source: HELLO }, { query: "" });
		expect(answer.status).toBe(202);
		const location = answer.headers.location as string;
		expect(location).toBe(`/v1/functions/${name}/versions/1`);
		await eventually(async () => expect(json(await send(stack, { path: location }))).toMatchObject({ state: "ready" }));
		expect((await stack.client.invoke(name)).outcome).toBe("succeeded");
	});

	it("of the same source and manifest answers 200 and makes no version", async () => {
		const name = freshName();
		const first = await putFunction(stack, name, { source: HELLO, memoryMiB: 256 });
		const again = await putFunction(stack, name, { memoryMiB: 256, source: HELLO });
		expect([first.status, again.status]).toEqual([201, 200]);
		expect(json(again)).toMatchObject({ unchanged: true, version: { number: 1 } });
		expect(await stack.client.versions(name)).toHaveLength(1);
	});

	it("with another limit makes a version, though the source is the same", async () => {
		const name = freshName();
		await stack.client.deploy(name, { source: HELLO });
		const { version } = await stack.client.deploy(name, { source: HELLO, memoryMiB: 256 });
		expect(version).toMatchObject({ number: 2, manifest: { memoryMiB: 256 } });
	});

	it("of new code is what answers from then on", async () => {
		const first = await deploy(stack, { source: "export default () => 1;" });
		expect(await first.result()).toBe(1);
		const second = await deploy(stack, { name: first.name, source: "export default () => 2;" });
		expect(await second.result()).toBe(2);
		expect((await second.record(await second.invoke())).version).toBe(2);
	});

	it("fills in every default, and keeps what was said", async () => {
		const { version } = await deploy(stack, { source: HELLO, timeoutMs: 1234, env: { A: "1" }, description: "says hello" });
		expect(version.manifest).toMatchObject({
			runtime: "node24",
			memoryMiB: 128,
			cpuMilli: 1000,
			timeoutMs: 1234,
			tmpfsMiB: 64,
			network: "none",
			env: { A: "1" },
			reuse: "version",
			scratch: "keep",
			public: false,
			description: "says hello",
		});
	});

	it("of the same source under another name has the same layers, and builds none", async () => {
		const source = `export default () => ${JSON.stringify(freshName("once"))};`;
		const one = await deploy(stack, { source });
		const other = await deploy(stack, { source });
		expect(one.version.image?.layers).toEqual(other.version.image?.layers);
		expect(other.version.build?.layers.every(({ cached }) => cached)).toBe(true);
	});

	it("raced by twenty others of one name gives every one a number of its own, and the last one answers", async () => {
		const name = freshName();
		const deploys = Array.from({ length: 20 }, (_, index) => stack.client.deploy(name, { source: `export default () => ${index};` }));
		const numbers = (await Promise.all(deploys)).map(({ version }) => version.number).sort((a, b) => a - b);
		expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
		expect((await stack.client.get(name)).live).toBe(20);
	});
});

describe("an archive", () => {
	const FILES = [
		{ path: "index.ts", body: "import { greeting } from './lib/greeting.js';\nexport default (who: string) => greeting + ' ' + who;\n" },
		{ path: "lib/greeting.ts", body: "export const greeting: string = 'hello';\n" },
	];

	it.each([
		["tar.gz", tarGz(...FILES)],
		["zip", zip(...FILES)],
	] as const)("as %s is deployed with its manifest and answers", async (kind, bytes) => {
		const name = freshName();
		const { version } = await stack.client.deployArchive(name, { kind, bytes, manifest: { memoryMiB: 256, description: "grüßt" } });
		expect(version).toMatchObject({ state: "ready", manifest: { memoryMiB: 256, description: "grüßt" }, source: { kind } });
		expect((await stack.client.invoke(name, { json: "you" })).raw.body.toString()).toBe("hello you");
	});

	it("may name its entry", async () => {
		const files: TarEntry[] = [
			{ path: "index.ts", body: "export default () => 'the wrong one';" },
			{ path: "src/other.mts", body: "export default () => 'the right one';" },
		];
		const name = freshName();
		await stack.client.deployArchive(name, { kind: "tar.gz", bytes: tarGz(...files), manifest: { entry: "src/other.mts" } });
		expect((await stack.client.invoke(name)).raw.body.toString()).toBe("the right one");
	});
});

describe("a language and a runtime", () => {
	it.each([
		["index.ts", "const answer: number = 42; export default (): number => answer;"],
		["index.mts", "export default async () => await Promise.resolve(42);"],
		["index.cts", "module.exports.handler = async (event: unknown) => 42;"],
		["index.tsx", "export default () => [<number>42][0];".replace("<number>42", "42 as number")],
		["index.js", "export default () => 42;"],
		["index.mjs", "const { answer } = await Promise.resolve({ answer: 42 }); export default () => answer;"],
		["index.cjs", "exports.handler = async () => 42;"],
		["index.cjs", "module.exports = () => 42;"],
	])("%s: %s", async (filename, source) => {
		expect(await (await deploy(stack, { filename, source })).result()).toBe(42);
	});

	it.each([
		["node24", 24],
		["node22", 22],
	] as const)("%s runs on Node %i", async (runtime, major) => {
		const deployed = await deploy(stack, { runtime, source: "export default () => process.version;" });
		expect(await deployed.result()).toMatch(new RegExp(`^v${major}\\.`));
	});
});

describe("what was deployed", () => {
	it("is listed, with its live version and all others, newest first", async () => {
		const name = freshName();
		await stack.client.deploy(name, { source: "export default () => 1;" });
		await stack.client.deploy(name, { source: "export default () => 2;" });
		expect((await stack.client.list()).find((each) => each.name === name)).toMatchObject({ project: "default", live: 2, latest: 2 });
		expect(await stack.client.get(name)).toMatchObject({ name, live: 2, version: { number: 2, state: "ready" } });
		expect((await stack.client.versions(name)).map(({ number }) => number)).toEqual([2, 1]);
		const one = await send(stack, { path: `/v1/functions/${name}/versions/1` });
		expect(json(one)).toMatchObject({ number: 1, state: "ready" });
	});

	it("is gone after a delete: no route knows it, no sandbox holds it, and its name starts again at 1 or later", async () => {
		const deployed = await deploy(stack, { source: HELLO });
		const { name } = deployed;
		await deployed.result();
		const answer = await send(stack, { method: "DELETE", path: `/v1/functions/${name}` });
		expect(answer.status).toBe(204);
		for (const path of [`/v1/functions/${name}`, `/v1/functions/${name}/versions`, `/v1/functions/${name}/versions/1`]) {
			expect(json(await send(stack, { path }))).toMatchObject({ status: 404, code: "function_not_found" });
		}
		await expect(stack.client.invoke(name)).rejects.toMatchObject({ problem: { code: "function_not_found" } });
		expect((await deployed.request()).status).toBe(404);
		await eventually(async () => expect((await stack.client.sandboxes()).filter((each) => each.function === name)).toEqual([]));
		await stack.client.deploy(name, { source: "export default () => 'again';" });
		expect(header((await stack.client.invoke(name)).raw, "content-type")).toContain("text/plain");
	});
});
