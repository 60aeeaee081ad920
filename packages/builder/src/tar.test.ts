import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readFromLayer } from "@berth/registry/layer-reader";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LayerEntry, writeLayer } from "./tar-writer.js";

let directory: string;
beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "tar-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function tarOf(entries: readonly LayerEntry[]): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of writeLayer(entries)) chunks.push(chunk);
	return Buffer.concat(chunks);
}

const file = (path: string, text = ""): LayerEntry => ({ path, kind: "file", content: { bytes: Buffer.from(text) } });

const name = fc.stringMatching(/^[a-z0-9_.-]{1,30}$/).filter((part) => part !== "." && part !== "..");
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
/** Files none of which is a directory of another. */
const files = fc
	.uniqueArray(fc.record({ path, bytes: fc.uint8Array({ maxLength: 1500 }) }), { selector: (one) => one.path, maxLength: 8 })
	.filter((all) => all.every((one) => all.every((other) => !other.path.startsWith(`${one.path}/`))));

test("what was written is read again, byte for byte, and whatever isn't in it isn't found", async () => {
	const tar = join(directory, "property.tar");
	await fc.assert(
		fc.asyncProperty(files, async (all) => {
			await writeFile(tar, await tarOf(all.map(({ path: at, bytes }) => ({ path: at, kind: "file", content: { bytes } }))));
			for (const { path: at, bytes } of all) expect((await readFromLayer(tar, at))?.equals(bytes)).toBe(true);
			expect(await readFromLayer(tar, "not/there")).toBeUndefined();
		}),
		{ numRuns: 60 },
	);
});

test("the order of the entries makes no difference", async () => {
	await fc.assert(
		fc.asyncProperty(files, fc.nat(), async (all, turn) => {
			const entries = all.map(({ path: at, bytes }): LayerEntry => ({ path: at, kind: "file", content: { bytes } }));
			const cut = entries.length === 0 ? 0 : turn % entries.length;
			expect((await tarOf([...entries.slice(cut), ...entries.slice(0, cut)])).equals(await tarOf(entries))).toBe(true);
		}),
		{ numRuns: 40 },
	);
});

test("names of every length that fits are read again: up to 100 bytes, and 155 more before a slash", async () => {
	const tar = join(directory, "long.tar");
	const paths = ["a".repeat(100), `${"b".repeat(77)}/${"b".repeat(77)}/${"c".repeat(100)}`, `${"d/".repeat(60)}e`];
	await writeFile(tar, await tarOf(paths.map((at) => file(at, at))));
	for (const at of paths) expect((await readFromLayer(tar, at))?.toString()).toBe(at);
});

test("GNU tar reads it: owners, modes, times and directories as promised", async () => {
	const tar = join(directory, "gnu.tar");
	const source = join(directory, "copied");
	await writeFile(source, "copied in");
	await writeFile(
		tar,
		await tarOf([
			file("app/main.js", "x"),
			{ path: "bin/run", kind: "file", executable: true, content: { file: source, sizeBytes: 9 } },
			{ path: "tmp", kind: "directory", mode: 0o1777 },
		]),
	);
	const { stdout } = await promisify(execFile)("tar", ["--numeric-owner", "--utc", "--full-time", "-tvf", tar]);
	const lines = stdout
		.trim()
		.split("\n")
		.map((line) => line.replace(/\s+/g, " "));
	expect(lines).toEqual([
		"drwxr-xr-x 0/0 0 1970-01-01 00:00:00 app/",
		"-rw-r--r-- 0/0 1 1970-01-01 00:00:00 app/main.js",
		"drwxr-xr-x 0/0 0 1970-01-01 00:00:00 bin/",
		"-rwxr-xr-x 0/0 9 1970-01-01 00:00:00 bin/run",
		"drwxrwxrwt 0/0 0 1970-01-01 00:00:00 tmp/",
	]);
	expect((await readFile(tar)).length % 512).toBe(0);
});

describe("refused", () => {
	test.each(["", "/a", "../a", "a/../b", "./a", "a//b", "a/", "a\0b"])("is the path %j", async (at) => {
		await expect(tarOf([file(at)])).rejects.toThrow("isn't a relative path");
	});

	test("is a path twice, a file that is a directory too, and a name that doesn't fit", async () => {
		await expect(tarOf([file("a"), file("a")])).rejects.toThrow("is there twice");
		await expect(tarOf([file("a"), file("a/b")])).rejects.toThrow("is a file and a directory");
		await expect(tarOf([file("a".repeat(101))])).rejects.toThrow("too long");
		await expect(tarOf([file(`${"a".repeat(156)}/b`)])).rejects.toThrow("too long");
	});

	test("is a file that became shorter", async () => {
		const source = join(directory, "short");
		await writeFile(source, "12");
		await expect(tarOf([{ path: "a", kind: "file", content: { file: source, sizeBytes: 3 } }])).rejects.toThrow("became shorter");
	});
});
