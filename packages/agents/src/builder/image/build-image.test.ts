import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { buildImage } from "./build-image.js";

const sha256 = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

/** A tar of regular files (POSIX.1-2017, ustar). */
function tar(files: Readonly<Record<string, Buffer | string>>): Buffer {
	const blocks = Object.entries(files).flatMap(([name, body]) => {
		const header = Buffer.alloc(512);
		header.write(name, 0);
		header.write("0000644\0", 100);
		header.write(`${Buffer.byteLength(body).toString(8).padStart(11, "0")}\0`, 124);
		header.write("        0", 148);
		header.write("ustar\x0000", 257);
		const sum = header.reduce((total, byte) => total + byte, 0);
		header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
		return [header, Buffer.from(body), Buffer.alloc((512 - (Buffer.byteLength(body) % 512)) % 512)];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** What `docker save` writes: its layers have no digest but that of what they unpack to, in the config. */
function saved(layers: readonly Buffer[], diffIds: readonly string[], config: object = { Cmd: ["/run"] }): Buffer {
	const names = layers.map((_, at) => `${at}/layer.tar`);
	return tar({
		"manifest.json": JSON.stringify([{ Config: "config.json", RepoTags: ["x:1"], Layers: names }]),
		"config.json": JSON.stringify({ os: "linux", architecture: ARCHITECTURE, config, rootfs: { type: "layers", diff_ids: diffIds } }),
		...Object.fromEntries(layers.map((layer, at) => [names[at], layer])),
	});
}

const build = async (archive: Buffer) => (await buildImage(archive, async () => ({ head: {}, body: Buffer.alloc(0) }))).answer;
const rejected = (text: string) => ({ ok: false, code: "image_rejected", message: expect.stringContaining(text) });

const lower = tar({ run: "as it was built" });
const upper = tar({ other: "on top" });

test("an image as docker save writes it is taken when its layers are those of its config, packed or not", async () => {
	expect(await build(saved([lower, gzipSync(upper)], [lower, upper].map(sha256)))).toEqual({ ok: "image" });
});

test("a damaged layer would serve what nobody built: it is refused, and named", async () => {
	const torn = Buffer.from(upper);
	torn.write("O", torn.indexOf("on top"));
	const answer = await build(saved([lower, torn], [lower, upper].map(sha256)));
	expect(answer).toMatchObject(rejected(`its layer 2 unpacks to ${sha256(torn)}, and its config says ${sha256(upper)}`));
});

test("a config that names other layers than there are is refused", async () => {
	expect(await build(saved([lower, upper], [sha256(lower)]))).toMatchObject(rejected("has 2 layers, and its config names 1"));
});

test("an image that says not what to start is refused as an image, not as a source", async () => {
	expect(await build(saved([lower], [sha256(lower)], {}))).toMatchObject(rejected("neither Entrypoint nor Cmd"));
});
