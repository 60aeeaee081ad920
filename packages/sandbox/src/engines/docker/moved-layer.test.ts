import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import type { Layer } from "@berth/contracts";
import { expect, test } from "vitest";
import { movedLayer } from "./moved-layer.js";
import { padding, seal, ustarHeader, write } from "./ustar.js";

const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}` as const;

const LONG = `${"directory/".repeat(12)}file`;

function tar(): Buffer {
	const link = ustarHeader("lib64", 0);
	write(link, "type", "2");
	link.write("usr/lib64", 157);
	seal(link);
	const cut = LONG.lastIndexOf("/");
	const long = ustarHeader(LONG.slice(cut + 1), 0);
	write(long, "prefix", LONG.slice(0, cut));
	seal(long);
	const text = Buffer.from("x".repeat(700));
	return Buffer.concat([ustarHeader("etc/", 0), ustarHeader("etc/text", 700), text, padding(700), link, long, Buffer.alloc(1024)]);
}

function source(bytes: Buffer, pieceBytes: number) {
	return async function* () {
		for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
	};
}

async function bytesOf({ digest, source: from }: Awaited<ReturnType<typeof movedLayer>>): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	for await (const piece of from(digest)) pieces.push(piece);
	return Buffer.concat(pieces);
}

test("what is in a layer stands below the directory, wherever its bytes are cut, and digest and size are those of what comes", async () => {
	const bytes = tar();
	const layer: Layer = { digest: sha256(bytes), sizeBytes: bytes.length };
	for (const pieceBytes of [bytes.length, 1, 511, 513, 1300]) {
		const moved = await movedLayer(layer, "/berth", source(bytes, pieceBytes));
		const out = await bytesOf(moved);
		expect([moved.digest, moved.sizeBytes]).toEqual([sha256(out), out.length]);
		const listed = execFileSync("tar", ["tf", "-"], { input: out, encoding: "utf8" }).trim().split("\n");
		expect(listed).toEqual(["berth/", "berth/etc/", "berth/etc/text", "berth/lib64", `berth/${LONG}`]);
		const text = execFileSync("tar", ["xOf", "-", "berth/etc/text"], { input: out, encoding: "utf8" });
		expect(text).toBe("x".repeat(700));
	}
});

test("a layer of another form, or that is cut, is refused", async () => {
	const hardLink = ustarHeader("x", 0);
	write(hardLink, "type", "1");
	seal(hardLink);
	const deep = ustarHeader("x", 0);
	write(deep, "prefix", "p".repeat(150));
	seal(deep);
	const cases = [
		[hardLink, "neither file, directory nor symbolic link"],
		[deep, "too long"],
		[tar().subarray(0, 1100), "in the middle"],
	] as const;
	for (const [bytes, message] of cases) {
		await expect(movedLayer({ digest: sha256(bytes), sizeBytes: bytes.length }, "/berth", source(bytes, 512))).rejects.toThrow(message);
	}
});
