import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { packDirectory } from "./source-directory.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-pack-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function put(path: string, text: string): Promise<string> {
	const full = join(directory, path);
	await mkdir(dirname(full), { recursive: true });
	await writeFile(full, text);
	return full;
}

test("the system's tar unpacks what was packed: long and foreign names, empty files, execute bits", async () => {
	const long = `${"deep/".repeat(30)}${"n".repeat(120)}.ts`;
	const files = { "src/index.ts": "export default 1;", "grüß.txt": "hallo", [long]: "x".repeat(1000), empty: "" };
	for (const [path, text] of Object.entries(files)) await put(path, text);
	await chmod(await put("run.sh", "#!/bin/sh\n"), 0o700);
	const { bytes } = await packDirectory(directory);
	const unpacked = await mkdtemp(join(tmpdir(), "berth-unpack-"));
	try {
		execFileSync("tar", ["-xzf", "-", "-C", unpacked], { input: bytes });
		for (const [path, text] of Object.entries(files)) expect(await readFile(join(unpacked, path), "utf8")).toBe(text);
		const listing = execFileSync("tar", ["-tvzf", "-"], { input: bytes, encoding: "utf8" });
		expect(listing).toMatch(/^-rwxr-xr-x 0\/0 .* run\.sh$/m);
		expect(listing).toMatch(/^-rw-r--r-- 0\/0 .* src\/index\.ts$/m);
	} finally {
		await rm(unpacked, { recursive: true });
	}
});

test("the same files give the same bytes, whenever and by whomever they were written", async () => {
	const path = await put("index.ts", "export default 1;");
	await put("b/c.ts", "2");
	const first = (await packDirectory(directory)).bytes;
	await utimes(path, new Date(0), new Date(0));
	await chmod(path, 0o600);
	expect((await packDirectory(directory)).bytes.equals(first)).toBe(true);
});

test("what .berthignore names stays at home, and so does the file itself", async () => {
	for (const path of ["index.ts", "secret.env", "node_modules/x/index.js", "a/secret.env"]) await put(path, "x");
	await put(".berthignore", "*.env\n");
	expect((await packDirectory(directory)).files).toEqual(["index.ts"]);
});

test("a symbolic link is refused by name, since no archive may hold one", async () => {
	await put("index.ts", "1");
	await symlink("/etc/passwd", join(directory, "link"));
	await expect(packDirectory(directory)).rejects.toThrow(/link is a symbolic link.*\.berthignore/);
});

test("a directory without a file is told so", async () => {
	await expect(packDirectory(directory)).rejects.toThrow("no file to deploy");
});

test("a name that isn't UTF-8 is refused as that, unless it is ignored", async () => {
	await put("index.ts", "1");
	await mkdir(join(directory, "ig"));
	await writeFile(Buffer.concat([Buffer.from(join(directory, "ig/")), Buffer.from([0xff, 0xfe])]), "");
	await expect(packDirectory(directory)).rejects.toThrow("has a name that isn't UTF-8");
	await put(".berthignore", "ig/*\n");
	expect((await packDirectory(directory)).files).toEqual(["index.ts"]);
});
