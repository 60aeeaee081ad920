import { open } from "node:fs/promises";

const BLOCK = 512;

/** One file's bytes out of a layer that we wrote (tar-writer.ts); undefined when there is none of that name. */
export async function readFromLayer(tar: string, name: string): Promise<Buffer | undefined> {
	await using source = await open(tar, "r");
	const header = Buffer.alloc(BLOCK);
	for (let offset = 0; ; ) {
		const { bytesRead } = await source.read(header, 0, BLOCK, offset);
		if (bytesRead < BLOCK || header[0] === 0) return undefined;
		const size = Number.parseInt(header.toString("latin1", 124, 135), 8);
		offset += BLOCK;
		if (header.toString("utf8", 0, header.indexOf(0)) === name) {
			const bytes = Buffer.alloc(size);
			const read = await source.read(bytes, 0, size, offset);
			return read.bytesRead === size ? bytes : undefined;
		}
		offset += Math.ceil(size / BLOCK) * BLOCK;
	}
}
