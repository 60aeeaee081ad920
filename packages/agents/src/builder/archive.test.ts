import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { unpackSource } from "./archive.js";

interface TarEntry {
	readonly name: string;
	readonly type?: string;
	readonly body?: string | Buffer;
	readonly size?: number;
}

function tarHeader({ name, type = "0", body = "", size = Buffer.byteLength(body) }: TarEntry): Buffer {
	const header = Buffer.alloc(512);
	header.write(name, 0, 100);
	header.write("0000644\0", 100);
	header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
	header.write("        ", 148);
	header.write(type, 156);
	header.write("ustar\x0000", 257);
	header.write(
		`${header
			.reduce((sum, byte) => sum + byte, 0)
			.toString(8)
			.padStart(6, "0")}\0 `,
		148,
	);
	return header;
}

function tarOf(...entries: TarEntry[]): Buffer {
	const blocks = entries.flatMap((entry) => {
		const body = Buffer.from(entry.body ?? "");
		return [tarHeader(entry), body, Buffer.alloc((512 - (body.length % 512)) % 512)];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

interface ZipEntry {
	readonly name: string;
	readonly body?: string | Buffer;
	readonly mode?: number;
	readonly size?: number;
	readonly flags?: number;
	/** Points at the data of the entry before. */
	readonly overlap?: boolean;
}

function zipOf(...entries: ZipEntry[]): Buffer {
	const locals: Buffer[] = [];
	const centrals: Buffer[] = [];
	let at = 0;
	let last = 0;
	for (const { name, body = "", mode = 0o100644, size, flags = 0, overlap = false } of entries) {
		const raw = Buffer.from(body);
		const packed = deflateRawSync(raw);
		const local = Buffer.alloc(30);
		local.writeUInt32LE(0x04034b50, 0);
		local.writeUInt16LE(Buffer.byteLength(name), 26);
		const central = Buffer.alloc(46);
		central.writeUInt32LE(0x02014b50, 0);
		central.writeUInt16LE(flags, 8);
		central.writeUInt16LE(8, 10);
		central.writeUInt32LE(crc32(raw), 16);
		central.writeUInt32LE(packed.length, 20);
		central.writeUInt32LE(size ?? raw.length, 24);
		central.writeUInt16LE(Buffer.byteLength(name), 28);
		central.writeUInt32LE((mode << 16) >>> 0, 38);
		central.writeUInt32LE(overlap ? last : at, 42);
		last = at;
		locals.push(local, Buffer.from(name), packed);
		centrals.push(central, Buffer.from(name));
		at += 30 + Buffer.byteLength(name) + packed.length;
	}
	const directory = Buffer.concat(centrals);
	const end = Buffer.alloc(22);
	end.writeUInt32LE(0x06054b50, 0);
	end.writeUInt16LE(entries.length, 8);
	end.writeUInt16LE(entries.length, 10);
	end.writeUInt32LE(directory.length, 12);
	end.writeUInt32LE(at, 16);
	return Buffer.concat([...locals, directory, end]);
}

const unpack = (...entries: TarEntry[]) => unpackSource("tar.gz", "", gzipSync(tarOf(...entries)));
const unzip = (...entries: ZipEntry[]) => unpackSource("zip", "", zipOf(...entries));
const listed = (files: ReturnType<typeof unpack>) =>
	Object.fromEntries(files.map(({ path, bytes }) => [path, Buffer.from(bytes).toString()]));

test("a tar's files arrive, by short, long (GNU) and extended (pax) names", () => {
	const long = `${"deep/".repeat(10)}${"n".repeat(120)}.ts`;
	const record = `path=${long}2\n`;
	const length = record.length + 4;
	const files = unpack(
		{ name: "pax_global_header", type: "g", body: "20 comment=whatever\n" },
		{ name: "./", type: "5" },
		{ name: "./index.ts", body: "one" },
		{ name: "src/", type: "5" },
		{ name: "src/a.ts", body: "two" },
		{ name: "././@LongLink", type: "L", body: `${long}\0` },
		{ name: "cut", body: "three" },
		{ name: "PaxHeader", type: "x", body: `${length} ${record}` },
		{ name: "cut", body: "four" },
	);
	expect(listed(files)).toEqual({ "index.ts": "one", "src/a.ts": "two", [long]: "three", [`${long}2`]: "four" });
});

test("a zip's files arrive", () => {
	expect(listed(unzip({ name: "src/", mode: 0o040755 }, { name: "src/ä.ts", body: "one" }, { name: "index.ts", body: "" }))).toEqual({
		"src/ä.ts": "one",
		"index.ts": "",
	});
});

test.each<[string, TarEntry[], string]>([
	["a symbolic link", [{ name: "a", type: "2" }], '"a" is a symbolic link'],
	["a hard link", [{ name: "a", type: "1" }], "a hard link"],
	["a device", [{ name: "sda", type: "4" }], "a block device"],
	["a FIFO", [{ name: "f", type: "6" }], "a FIFO"],
	["another type", [{ name: "s", type: "S" }], 'an entry of type "S"'],
	["..", [{ name: "a/../../b" }], "`..`"],
	["an absolute path", [{ name: "/etc/passwd" }], "absolute"],
	["a backslash", [{ name: "..\\b" }], "backslash"],
	["a NUL", [{ name: "P", type: "x", body: "14 path=a\0b.ts\n".replace("14", "15") }, { name: "x" }], "NUL"],
	["a name twice", [{ name: "a.ts" }, { name: "./a.ts" }], "twice"],
	["a name in two spellings of Unicode", [{ name: "ä.ts" }, { name: "a\u0308.ts" }], "twice"],
	["a file that is a directory", [{ name: "a" }, { name: "a/b" }], "below a file"],
	["a directory that is a file", [{ name: "a/b" }, { name: "a" }], "a file and a directory"],
	["depth", [{ name: `${"d/".repeat(16)}f` }], "deeper than 16"],
	["a file that is cut off", [{ name: "a", size: 4096 }], "cut off"],
	["too many entries", Array.from({ length: 2001 }, (_, i) => ({ name: `f${i}` })), "more than 2000 entries"],
	["too many extended headers", Array.from({ length: 8001 }, () => ({ name: "g", type: "g" })), "more than 2000 entries"],
])("a tar is refused for %s", (_what, entries, message) => {
	expect(() => unpack(...entries)).toThrow(message);
});

test.each<[string, ZipEntry[], string]>([
	["a link", [{ name: "a", mode: 0o120777 }], "a link or a device"],
	["..", [{ name: "../a" }], "`..`"],
	["encryption", [{ name: "a", flags: 1 }], "encrypted"],
	["more bytes than it says", [{ name: "a", body: "x".repeat(100), size: 10 }], "can't be unpacked"],
	["fewer bytes than it says", [{ name: "a", body: "x".repeat(100), size: 200 }], "checksum or size"],
	[
		"shared bytes",
		[
			{ name: "a", body: "x" },
			{ name: "b", body: "x", overlap: true },
		],
		"shares bytes",
	],
	["a name twice", [{ name: "a" }, { name: "a" }], "twice"],
	["a bomb", [{ name: "a", body: Buffer.alloc(8 * 1024 * 1024) }], "at most 200 times what is packed"],
])("a zip is refused for %s", (_what, entries, message) => {
	expect(() => unzip(...entries)).toThrow(message);
});

test("a gzip bomb is cut, not unpacked", () => {
	const bomb = gzipSync(tarOf({ name: "a", body: Buffer.alloc(32 * 1024 * 1024) }));
	expect(bomb.length).toBeLessThan(64 * 1024);
	expect(() => unpackSource("tar.gz", "", bomb)).toThrow("at most 200 times what is packed");
	const large = gzipSync(tarOf({ name: "a", body: Buffer.alloc(70 * 1024 * 1024) }), { level: 0 });
	expect(() => unpackSource("tar.gz", "", large)).toThrow("67108864 bytes (64 MiB)");
});

const WHOLE = gzipSync(tarOf({ name: "index.ts", body: "x" }));
const flipped = Buffer.from(WHOLE);
flipped.writeUInt32LE(0, WHOLE.length - 8);

test.each<[string, "tar.gz" | "zip", Buffer, string]>([
	["text", "tar.gz", Buffer.from("not gzip"), "isn't gzip; pack it with `tar -czf`"],
	["a zip", "tar.gz", zipOf({ name: "a" }), "isn't gzip: it is a zip; send it as application/zip"],
	["a tar", "tar.gz", tarOf({ name: "a" }), "isn't gzip: it is a tar that isn't compressed; pack it with `tar -czf`"],
	["bzip2", "tar.gz", Buffer.from("BZh91AY&SY"), "isn't gzip: it is bzip2; pack it with `tar -czf`"],
	["half a gzip", "tar.gz", WHOLE.subarray(0, WHOLE.length - 20), "is cut off: its gzip ends too early; send all of it"],
	["a gzip with another checksum", "tar.gz", flipped, "is damaged, its gzip can't be unpacked (incorrect data check)"],
	["a gzip of text", "tar.gz", gzipSync("just text"), "is gzip, but what is in it isn't a tar"],
	["a gzip of much text", "tar.gz", gzipSync(Buffer.alloc(1024, "x")), "is gzip, but what is in it isn't a tar"],
	["text", "zip", Buffer.from("hello"), "isn't a zip; pack it with `zip -r`"],
	["gzip", "zip", WHOLE, "isn't a zip: it is gzip; send it as application/gzip"],
	["half a zip", "zip", zipOf({ name: "a" }).subarray(0, -30), "is cut off: the directory that ends a zip is missing"],
	["a zip without its head", "zip", zipOf({ name: "a" }).subarray(4), "is damaged: its directory can't be read"],
])("%s sent as %s is refused with what it is and what to do", (_what, kind, bytes, message) => {
	expect(() => unpackSource(kind, "", bytes)).toThrow(message);
});
