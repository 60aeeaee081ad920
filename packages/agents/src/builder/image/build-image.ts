import { IMAGE_LIMITS, type ImageEntry, SANDBOX_PATHS } from "@berth/contracts/agent";
import type { Ask } from "../../node/questions.js";
import type { Built } from "../answer.js";
import { ArchiveError } from "../archive-rules.js";
import { failure, refused } from "../refusals.js";
import { readImageArchive } from "./image-archive.js";
import { type Directory, directory, mergeLayers, type Node } from "./merge-layers.js";
import { startOf } from "./start-of.js";

/** Bytes that are put at a time. */
const PIECE_BYTES = 1024 * 1024;

/** An image in, its tree out as entries of one layer, their bytes put before. Nothing of it is written or run here. */
export async function buildImage(archive: Uint8Array, ask: Ask): Promise<Built> {
	try {
		const image = readImageArchive(Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength));
		const start = startOf(image.config);
		if (typeof start === "string") return refused(failure("image_rejected", "check", start));
		const root = mergeLayers(image.layers);
		makeOurs(root, Buffer.from(JSON.stringify(start)));
		const entries = [...entriesOf(root, "")];
		await put(entries, ask);
		const index = entries.map(({ entry }) => entry);
		return { answer: { ok: "image" }, files: [], body: Buffer.from(JSON.stringify(index)) };
	} catch (error) {
		if (error instanceof ArchiveError) return refused(failure("image_rejected", "unpack", `${error.message}.`));
		throw error;
	}
}

/** Where the sandbox mounts something there is a directory or file of ours, whatever the image has there, and nothing below. */
function makeOurs(root: Directory, start: Buffer): void {
	for (const name of ["proc", "dev", "tmp", "mnt", IMAGE_BASE, "function"]) root.children.set(name, directory());
	const file = (bytes: Buffer): Node => ({ kind: "file", bytes, executable: false });
	const code = directory();
	code.children.set(SANDBOX_PATHS.imageStart, file(start));
	(root.children.get("function") as Directory).children.set("code", code);
	const run = root.children.get("run");
	const ourRun = run?.kind === "directory" ? run : directory();
	const socket = directory();
	socket.children.set("agent.sock", file(Buffer.alloc(0)));
	ourRun.children.set("berth", socket);
	root.children.set("run", ourRun);
}

/** The directory at which an image's sandbox has the base: the bridge, and Node. */
const IMAGE_BASE = SANDBOX_PATHS.imageBase.slice(1);

interface Listed {
	readonly entry: ImageEntry;
	readonly bytes?: Buffer;
}

function* entriesOf({ children }: Directory, above: string): Generator<Listed, void> {
	for (const [name, node] of children) {
		const path = `${above}${name}`;
		if (node.kind === "directory") {
			yield { entry: [path, "directory"] };
			yield* entriesOf(node, `${path}/`);
		} else if (node.kind === "link") yield { entry: [path, "link", node.target] };
		else yield { entry: [path, "file", node.bytes.length, node.executable], bytes: node.bytes };
	}
}

/** In the order of their entries. Hard links made one file many: what all of them have is bounded, too. */
async function put(entries: readonly Listed[], ask: Ask): Promise<void> {
	const total = entries.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
	if (total > IMAGE_LIMITS.totalBytes)
		throw new ArchiveError(undefined, `has files of more than ${IMAGE_LIMITS.totalBytes} bytes, hard links counted as files`);
	let pieces: Buffer[] = [];
	let held = 0;
	const flush = async () => {
		if (held > 0) await ask({ kind: "put" }, Buffer.concat(pieces));
		[pieces, held] = [[], 0];
	};
	for (const { bytes = Buffer.alloc(0) } of entries) {
		for (let at = 0; at < bytes.length; ) {
			const piece = bytes.subarray(at, at + PIECE_BYTES - held);
			pieces.push(piece);
			held += piece.length;
			at += piece.length;
			if (held === PIECE_BYTES) await flush();
		}
	}
	await flush();
}
