import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FIXED_LIMITS, IMAGE_LIMITS, sizeText } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { bytesText } from "../render/units.js";
import { fileFault, isMissing } from "../system-errors.js";

type PackedKind = "image" | "tar.gz" | "zip";

/** What a file's name says it is, where that is no source as it stands. */
const PACKED: readonly (readonly [ending: RegExp, kind: PackedKind, mostBytes: number])[] = [
	[/\.tar$/, "image", IMAGE_LIMITS.archiveBytes],
	[/\.(?:tar\.gz|tgz)$/, "tar.gz", FIXED_LIMITS.archiveBytes],
	[/\.zip$/, "zip", FIXED_LIMITS.archiveBytes],
];
const GZIP = Buffer.from([0x1f, 0x8b]);

/** Whether a path is a directory of sources, not a file. @throws CommandFailure when it is neither, or a directory that holds an image */
export async function isSourceDirectory(path: string): Promise<boolean> {
	const found = await stat(path).catch((error: unknown) => refuse(`${path}: ${fileFault(error)}`));
	if (found.isFile()) return false;
	if (!found.isDirectory()) refuse(`${path} is neither a regular file nor a directory: write what comes out of it to a file first`);
	if (await isThere(join(path, "oci-layout")))
		refuse(`${path} is an OCI layout: pack it first, with tar -C ${path} -cf image.tar ., and deploy image.tar`);
	return true;
}

/** A file that is an archive or an image; undefined when it is a source. @throws CommandFailure when it is too large, or isn't packed as its name says */
export async function readPacked(path: string): Promise<{ readonly kind: PackedKind; readonly bytes: Buffer } | undefined> {
	const [, kind, mostBytes = 0] = PACKED.find(([ending]) => ending.test(path)) ?? [];
	if (kind === undefined) return undefined;
	await refuseLarger(path, mostBytes, kind === "image" ? "an image" : "an archive");
	if (kind === "image" && (await startOf(path)).equals(GZIP))
		refuse(`${path} is gzipped: an image is a plain tar (gunzip it first), and an archive of source files ends in .tar.gz`);
	return { kind, bytes: await readFile(path) };
}

/** A source file as text. @throws CommandFailure when it is too large */
export async function readSourceFile(path: string): Promise<string> {
	await refuseLarger(path, FIXED_LIMITS.sourceBytes, "a source file");
	return await readFile(path, "utf8");
}

async function refuseLarger(path: string, mostBytes: number, what: string): Promise<void> {
	const { size } = await stat(path);
	if (size > mostBytes) refuse(`${path} has ${bytesText(size)}, and ${what} may have ${sizeText(mostBytes)}`);
}

async function startOf(path: string): Promise<Buffer> {
	await using file = await open(path);
	const { buffer, bytesRead } = await file.read(Buffer.alloc(GZIP.length), 0, GZIP.length, 0);
	return buffer.subarray(0, bytesRead);
}

async function isThere(path: string): Promise<boolean> {
	try {
		return (await stat(path)).isFile();
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}

function refuse(message: string): never {
	throw new CommandFailure(EXIT.usage, message);
}
