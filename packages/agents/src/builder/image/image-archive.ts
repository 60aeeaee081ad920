import { createHash } from "node:crypto";
import { posix } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { IMAGE_LIMITS } from "@berth/contracts/agent";
import { ArchiveError } from "../archive-rules.js";
import { headersOf } from "./layer-tar.js";

/** An image as an archive has it: its config, and its layers as tars, lowest first. */
export interface ImageArchive {
	readonly config: unknown;
	readonly layers: readonly Buffer[];
}

type Fields = Readonly<Record<string, unknown>>;

/** As Go, and so OCI, has them. */
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;
const MOST_INDEXES = 4;

/** Room for headers and documents beside the layers. */
const AROUND_BYTES = 16 * 1024 * 1024;

/** Reads an OCI image layout, or what `docker save` writes, as a tar, perhaps packed. @throws ArchiveError */
export function readImageArchive(packed: Buffer): ImageArchive {
	const archive = isGzip(packed) ? unpacked(packed, IMAGE_LIMITS.totalBytes + AROUND_BYTES) : packed;
	const files = new Map<string, Buffer>();
	const links = new Map<string, string>();
	for (const { name, type, target, size, at } of headersOf(archive)) {
		if (files.size + links.size > IMAGE_LIMITS.archiveFiles) throw new ArchiveError(undefined, "has more files than an image has");
		const path = name.replace(/^(?:\.?\/)+/, "");
		if (type === "0" || type === "\0") files.set(path, archive.subarray(at, at + size));
		// `docker save` links a layer that is there twice.
		if (type === "2") links.set(path, posix.join(posix.dirname(path), target));
	}
	for (const [path, target] of links) {
		const linked = files.get(target);
		if (linked !== undefined && !files.has(path)) files.set(path, linked);
	}
	const { config: configBytes, layers } = files.has("index.json") ? fromLayout(files) : fromDockerSave(files);
	if (layers.length > IMAGE_LIMITS.layers) throw new ArchiveError(undefined, `has more than ${IMAGE_LIMITS.layers} layers`);
	const config = jsonOf(configBytes, "its config");
	const digests = layerDigests(config, layers.length);
	let left: number = IMAGE_LIMITS.totalBytes;
	return {
		config,
		layers: layers.map((layer, at) => {
			const tar = unpacked(layer, left);
			const digest = digestOf(tar);
			if (digest !== digests[at])
				throw new ArchiveError(undefined, `is damaged: its layer ${at + 1} unpacks to ${digest}, and its config says ${digests[at]}`);
			left -= tar.length;
			return tar;
		}),
	};
}

/** What its config says the layers are once unpacked (OCI image spec, config.md, `rootfs`): what `docker save` writes has no other digests. */
function layerDigests(config: Fields, count: number): readonly string[] {
	const { diff_ids: digests } = (config["rootfs"] ?? {}) as Fields;
	const listed = Array.isArray(digests) ? (digests as readonly unknown[]) : [];
	if (listed.length !== count)
		throw new ArchiveError(undefined, `is damaged: it has ${count} layers, and its config names ${listed.length} (rootfs.diff_ids)`);
	return listed.map((digest) => String(digest).slice(0, 100));
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

interface Parts {
	readonly config: Buffer;
	readonly layers: readonly Buffer[];
}

/** OCI image spec, image-layout.md. */
function fromLayout(files: ReadonlyMap<string, Buffer>): Parts {
	let document = jsonOf(files.get("index.json") as Buffer, "index.json");
	for (let depth = 0; Array.isArray(document["manifests"]); depth++) {
		const manifests = document["manifests"] as readonly Fields[];
		const one = manifests.length === 1 ? manifests[0] : manifests.find(isForThisMachine);
		if (one === undefined || depth >= MOST_INDEXES)
			throw new ArchiveError(undefined, `has ${manifests.length} images, and none that is said to be for linux/${ARCHITECTURE} alone`);
		document = jsonOf(blob(files, one), "its manifest");
	}
	const layers = Array.isArray(document["layers"]) ? (document["layers"] as readonly unknown[]) : [];
	return { config: blob(files, document["config"]), layers: layers.slice(0, IMAGE_LIMITS.layers + 1).map((one) => blob(files, one)) };
}

function isForThisMachine(descriptor: Fields): boolean {
	const platform = (descriptor?.["platform"] ?? {}) as Fields;
	return platform["os"] === "linux" && platform["architecture"] === ARCHITECTURE;
}

/** By its digest, and checked against it: an upload may be damaged. */
function blob(files: ReadonlyMap<string, Buffer>, descriptor: unknown): Buffer {
	const digest = String((descriptor as Fields | undefined)?.["digest"]);
	const found = files.get(`blobs/${digest.replace(":", "/")}`);
	if (found === undefined) throw new ArchiveError(undefined, `lacks the blob ${digest.slice(0, 100)}`);
	if (digestOf(found) !== digest) throw new ArchiveError(undefined, `has a blob ${digest.slice(0, 100)} whose bytes are others`);
	return found;
}

function fromDockerSave(files: ReadonlyMap<string, Buffer>): Parts {
	const list = files.get("manifest.json");
	if (list === undefined)
		throw new ArchiveError(
			undefined,
			"is no image: it has neither index.json, as an OCI layout does, nor manifest.json, as `docker save` writes it",
		);
	const document = jsonOf(list, "manifest.json");
	const images = Array.isArray(document) ? (document as readonly Fields[]) : [];
	const [image] = images;
	if (image === undefined || images.length > 1) throw new ArchiveError(undefined, `has ${images.length} images; save one alone`);
	const layers = Array.isArray(image["Layers"]) ? (image["Layers"] as readonly unknown[]) : [];
	const file = (name: unknown) => {
		const found = files.get(String(name));
		if (found === undefined) throw new ArchiveError(undefined, `lacks ${JSON.stringify(String(name).slice(0, 200))}`);
		return found;
	};
	return { config: file(image["Config"]), layers: layers.slice(0, IMAGE_LIMITS.layers + 1).map(file) };
}

function jsonOf(bytes: Buffer, what: string): Fields {
	if (bytes.length > IMAGE_LIMITS.documentBytes)
		throw new ArchiveError(undefined, `has more than ${IMAGE_LIMITS.documentBytes} bytes of ${what}`);
	try {
		const value = JSON.parse(bytes.toString()) as unknown;
		if (typeof value === "object" && value !== null) return value as Fields;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
	}
	throw new ArchiveError(undefined, `is damaged: ${what} isn't JSON of an image`);
}

/** A layer as a tar; what it is packed with is seen at its beginning. All of an image's together are bounded. */
function unpacked(layer: Buffer, maxBytes: number): Buffer {
	const options = { maxOutputLength: Math.max(1, maxBytes) };
	try {
		const tar = isGzip(layer)
			? gunzipSync(layer, options)
			: layer.readUInt32LE(0) === 0xfd2fb528
				? zstdDecompressSync(layer, options)
				: layer;
		if (tar.length > maxBytes) throw tooMuch();
		return tar;
	} catch (error) {
		if (error instanceof ArchiveError) throw error;
		if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooMuch();
		throw new ArchiveError(undefined, `has a layer that can't be unpacked (${(error as Error).message})`);
	}
}

function isGzip(bytes: Buffer): boolean {
	return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function tooMuch(): ArchiveError {
	return new ArchiveError(
		undefined,
		`has layers of more than ${IMAGE_LIMITS.totalBytes} bytes unpacked, the most there may be; build it from a smaller one`,
	);
}
