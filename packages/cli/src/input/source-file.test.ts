import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isSourceDirectory, readPacked, readSourceFile } from "./source-file.js";

let root: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
	root = await mkdtemp(join(tmpdir(), "source-file-"));
	await mkdir(at("layout"));
	for (const name of ["layout/oci-layout", "layout/index.json", "huge.ts", "huge.tar", "huge.zip"]) await writeFile(at(name), "{}");
	for (const name of ["huge.ts", "huge.tar", "huge.zip"]) await truncate(at(name), 81 * 1024 * 1024);
	await writeFile(at("packed.tar"), gzipSync("an image"));
	for (const name of ["shop.tar.gz", "shop.tgz", "shop.zip", "shop.tar", "shop.ts"]) await writeFile(at(name), "bytes");
	execFileSync("mkfifo", [at("fifo")]);
});
afterAll(() => rm(root, { recursive: true }));

test("a file is what its name says", async () => {
	const kinds = await Promise.all(
		["shop.tar.gz", "shop.tgz", "shop.zip", "shop.tar"].map(async (name) => (await readPacked(at(name)))?.kind),
	);
	expect(kinds).toEqual(["tar.gz", "tar.gz", "zip", "image"]);
	expect([await readPacked(at("shop.ts")), await readSourceFile(at("shop.ts"))]).toEqual([undefined, "bytes"]);
	expect([await isSourceDirectory(at("shop.ts")), await isSourceDirectory(root)]).toEqual([false, true]);
});

test.each([
	["/dev/zero", "/dev/zero is neither a regular file nor a directory"],
	["fifo", "fifo is neither a regular file nor a directory"],
	["nothing", "nothing: there is no such file or directory"],
	["layout", "layout is an OCI layout: pack it first, with tar -C"],
	["huge.ts", "huge.ts has 81 MiB, and a source file may have 4 MiB"],
	["huge.tar", "huge.tar has 81 MiB, and an image may have 64 MiB"],
	["huge.zip", "huge.zip has 81 MiB, and an archive may have 32 MiB"],
	["packed.tar", "packed.tar is gzipped: an image is a plain tar"],
])("%s is refused before it is read", async (name, said) => {
	const read = async (path: string) => (await isSourceDirectory(path)) || (await readPacked(path)) || (await readSourceFile(path));
	await expect(read(name.startsWith("/") ? name : at(name))).rejects.toThrow(said);
});
