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
		if (nameIn(header) === name) {
			const bytes = Buffer.alloc(size);
			const read = await source.read(bytes, 0, size, offset);
			return read.bytesRead === size ? bytes : undefined;
		}
		offset += Math.ceil(size / BLOCK) * BLOCK;
	}
}

/** Prefix and name of a ustar header: each ends with a NUL unless it fills its field. */
function nameIn(header: Buffer): string {
	const [name, prefix] = [header.subarray(0, 100), header.subarray(345, 500)].map((field) => {
		const end = field.indexOf(0);
		return field.toString("utf8", 0, end < 0 ? field.length : end);
	});
	return prefix === "" ? (name ?? "") : `${prefix}/${name}`;
}
