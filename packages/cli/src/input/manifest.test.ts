import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addVariable, manifestOf, mergeManifest, nameFor, parseReuse, parseSandboxes, readManifest } from "./manifest.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-manifest-"));
});
afterEach(() => rm(directory, { recursive: true }));

const write = async (name: string, text: string) => {
	const path = join(directory, name);
	await writeFile(path, text);
	return path;
};

describe("merging", () => {
	test("the command line wins over the file, and variables add up: file, then --env-file, then --env", async () => {
		const envFile = await write(".env", "A=file\nB='with space'\n");
		const merged = await mergeManifest(
			{ memoryMiB: 128, description: "kept", env: { A: "manifest", C: "manifest", D: "manifest" } },
			{ memory: 256, envFile, env: { B: "line", D: "line" } },
		);
		expect(merged).toEqual({ memoryMiB: 256, description: "kept", env: { A: "file", B: "line", C: "manifest", D: "line" } });
	});

	test("what nobody says isn't sent, so that the gateway's defaults hold", async () => {
		expect(await mergeManifest({}, { env: {} })).toEqual({});
	});

	test("an --env-file that isn't there is named", async () => {
		await expect(mergeManifest({}, { env: {}, envFile: "/nowhere/.env" })).rejects.toThrow(
			"--env-file /nowhere/.env: there is no such file",
		);
	});
});

describe("a manifest file", () => {
	test("may name the function; the rest is the manifest", async () => {
		expect(await readManifest(await write("m.json", '{"name":"shop","memoryMiB":256}'))).toEqual({
			name: "shop",
			manifest: { memoryMiB: 256 },
		});
	});

	test.each([
		["[1]", "a JSON object is wanted"],
		["{", "JSON"],
		['{"name":5}', "name: a string is wanted"],
	])("%s is refused with its path", async (text, why) => {
		const path = await write("berth.json", text);
		await expect(readManifest(path)).rejects.toThrow(new RegExp(`${path}.*${why}`, "s"));
	});

	test("a directory without one has an empty one", async () => {
		expect(await manifestOf(directory)).toEqual({ manifest: {} });
		await write("berth.json", '{"timeoutMs":5}');
		expect(await manifestOf(directory)).toEqual({ manifest: { timeoutMs: 5 } });
	});
});

test.each([
	["/a/hello.ts", "hello"],
	["/a/My Shop.v2.ts", "my-shop-v2"],
	["/a/shop/index.ts", "shop"],
	["/a/9-lives.ts", "lives"],
	["/a/shop.tar.gz", "shop"],
])("%s is deployed as %s", (path, name) => expect(nameFor(path, undefined)).toBe(name));

test("a path of which no name can be made says how to name it", () => {
	expect(() => nameFor("/a/123.ts", undefined)).toThrow("say --name");
	expect(nameFor("/a/123.ts", "said")).toBe("said");
});

test("a variable may hold an equals sign, and needs a name", () => {
	expect(addVariable("A=b=c", { Z: "1" })).toEqual({ Z: "1", A: "b=c" });
	expect(() => addVariable("=x", {})).toThrow("KEY=VALUE");
	expect(() => addVariable("A", {})).toThrow("KEY=VALUE");
});

test("a minimum is a number, and leaves the windows of the file as they are", async () => {
	const windows = [{ cron: "@daily", forMs: 60_000, min: 2 }];
	expect(parseSandboxes("2")).toBe(2);
	expect(() => parseSandboxes("two")).toThrow("How many");
	expect(await mergeManifest({ pool: { min: 1, windows } }, { min: 2, env: {} })).toEqual({ pool: { min: 2, windows } });
	expect(await mergeManifest({ pool: { windows } }, { env: {} })).toEqual({ pool: { windows } });
});

test("reuse is a word or a number of uses", () => {
	expect([parseReuse("never"), parseReuse("version"), parseReuse("5")]).toEqual(["never", "version", 5]);
	expect(() => parseReuse("0")).toThrow("how many");
});
