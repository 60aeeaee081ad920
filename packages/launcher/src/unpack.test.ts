import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type TarEntry, tar } from "./testing/tar.js";
import { unpackLayer } from "./unpack.js";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "unpack-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const target = () => join(directory, "layer");

async function unpack(bytes: Uint8Array): Promise<void> {
	const archive = join(directory, "layer.tar");
	writeFileSync(archive, bytes);
	await unpackLayer(archive, target());
}

const read = (name: string) => readFileSync(join(target(), name), "utf8");
const modeOf = (name: string) => statSync(join(target(), name)).mode & 0o7777;

describe("a layer as the builder writes it", () => {
	test("comes out as it went in: files of every size, directories, long names", async () => {
		const large = "0123456789abcdef".repeat(200_000);
		const prefix = Array.from({ length: 13 }, (_, index) => `directory${index}`).join("/");
		await unpack(
			tar(
				{ name: "code/", type: "5", mode: 0o755 },
				{ name: "code/index.mjs", content: "export default 1" },
				{ name: "code/empty" },
				{ name: "code/block", content: "x".repeat(512) },
				{ name: "code/large", content: large },
				{ name: "file", prefix, content: "far" },
			),
		);
		expect([read("code/index.mjs"), read("code/empty"), read("code/block")]).toEqual(["export default 1", "", "x".repeat(512)]);
		expect(read("code/large") === large).toBe(true);
		expect(read(`${prefix}/file`)).toBe("far");
	});

	test("has two modes for files, and only the sticky /tmp besides 0755 for directories: no set-user-id survives", async () => {
		await unpack(
			tar(
				{ name: "plain", mode: 0o600 },
				{ name: "run", mode: 0o4711 },
				{ name: "closed/", type: "5", mode: 0o700 },
				{ name: "tmp/", type: "5", mode: 0o1777 },
				{ name: "tmp/sgid/", type: "5", mode: 0o2777 },
			),
		);
		expect(["plain", "run", "closed", "tmp", "tmp/sgid"].map(modeOf)).toEqual([0o644, 0o755, 0o755, 0o1777, 0o755]);
	});

	test("has symbolic links as they are, wherever they lead: nothing is made or changed there", async () => {
		const outside = join(directory, "outside");
		mkdirSync(outside, { mode: 0o700 });
		await unpack(
			tar(
				{ name: "bin", type: "2", target: "usr/bin" },
				{ name: "usr/bin/sh", mode: 0o755, content: "x" },
				{ name: "proc", type: "2", target: "/" },
				{ name: "deep/er/out", type: "2", target: outside },
				{ name: "self", type: "2", target: "self" },
			),
		);
		expect(["bin", "proc", "deep/er/out", "self"].map((name) => readlinkSync(join(target(), name)))).toEqual([
			"usr/bin",
			"/",
			outside,
			"self",
		]);
		expect(read("bin/sh")).toBe("x");
		expect([readdirSync(outside), statSync(outside).mode & 0o7777]).toEqual([[], 0o700]);
	});

	test("belongs to whoever unpacks it, whatever the archive says", async () => {
		await unpack(tar({ name: "file" }));
		expect(statSync(join(target(), "file")).uid).toBe(process.getuid?.());
	});
});

const HOSTILE: readonly (readonly [string, readonly TarEntry[], string])[] = [
	[
		"a file below a symbolic link",
		[
			{ name: "link", type: "2", target: "../outside" },
			{ name: "link/file", content: "x" },
		],
		"EEXIST",
	],
	[
		"a file below one that comes after it",
		[
			{ name: "link/file", content: "x" },
			{ name: "link", type: "2", target: "../outside" },
		],
		"EEXIST",
	],
	[
		"a directory where a symbolic link is",
		[
			{ name: "link", type: "2", target: "../outside" },
			{ name: "link/", type: "5" },
		],
		"EEXIST",
	],
	["a symbolic link where a file is", [{ name: "a" }, { name: "a", type: "2", target: "/etc" }], "EEXIST"],
	[
		"a symbolic link below one",
		[
			{ name: "a", type: "2", target: "../outside" },
			{ name: "a/b", type: "2", target: "/etc" },
		],
		"EEXIST|below a link",
	],
	["a symbolic link to nothing", [{ name: "a", type: "2" }], "leads nowhere"],
	["a hard link", [{ name: "link", type: "1", target: "/etc/shadow" }], "only files, directories and symbolic links"],
	["a character device", [{ name: "null", type: "3" }], "only files, directories and symbolic links"],
	["a block device", [{ name: "disk", type: "4" }], "only files, directories and symbolic links"],
	["a FIFO", [{ name: "pipe", type: "6" }], "only files, directories and symbolic links"],
	["a pax header", [{ name: "pax", type: "x", content: "path=/etc/passwd\n" }], "only files, directories and symbolic links"],
	["a global pax header", [{ name: "pax", type: "g" }], "only files, directories and symbolic links"],
	["a GNU long name", [{ name: "long", type: "L", content: "/etc/passwd" }], "only files, directories and symbolic links"],
	["an old-style file", [{ name: "old", type: "\0" }], "only files, directories and symbolic links"],
	["an absolute name", [{ name: "/etc/passwd" }], "not a relative path"],
	["a name that climbs", [{ name: "a/../../out" }], "not a relative path"],
	["a name that is only a climb", [{ name: "..", type: "5" }], "not a relative path"],
	["a prefix that climbs", [{ name: "out", prefix: "../.." }], "not a relative path"],
	["an absolute prefix", [{ name: "passwd", prefix: "/etc" }], "not a relative path"],
	["no name", [{ name: "" }], "not a relative path"],
	["a name with an empty part", [{ name: "a//b" }], "not a relative path"],
	["the same file twice", [{ name: "a" }, { name: "a" }], "EEXIST"],
	["a file where a directory is", [{ name: "a/", type: "5" }, { name: "a" }], "EEXIST"],
	["a file as a directory", [{ name: "a" }, { name: "a/b" }], "EEXIST|ENOTDIR"],
	["a size that is no number", [{ name: "a", size: "-0000000001" }], "a header's number"],
	["a size in base 256", [{ name: "a", size: "\x80" }], "a header's number"],
	["a size beyond the archive", [{ name: "a", size: "77777777777" }], "ends within the file"],
];

describe("a layer is refused for", () => {
	test.each(HOSTILE)("%s", async (_what, entries, message) => {
		mkdirSync(join(directory, "outside"));
		await expect(unpack(tar({ name: "before", content: "x" }, ...entries))).rejects.toThrow(new RegExp(message));
		expect(readdirSync(directory).sort()).toEqual(["layer", "layer.tar", "outside"]);
		expect(readdirSync(join(directory, "outside"))).toEqual([]);
	});

	test.each([
		["within a header", 700],
		["within a file", 1024 + 512 + 100],
		["without its end", 2048],
		["before anything", 0],
	])("ending %s", async (_where, length) => {
		const whole = tar({ name: "a", content: "x" }, { name: "b", content: "y".repeat(600) });
		await expect(unpack(whole.subarray(0, length))).rejects.toThrow(/the layer ends within/);
	});
});
