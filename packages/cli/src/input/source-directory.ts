import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { FIXED_LIMITS, MIB } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { isMissing } from "../system-errors.js";
import { type Ignore, ignoreOf } from "./ignore.js";
import { type ArchiveFile, tarOf } from "./tar.js";

/** More than this is no source: it is refused before it is read into memory. */
const MOST_BYTES = 8 * FIXED_LIMITS.archiveBytes;
const OWNER_EXECUTE = 0o100;

/** A source directory as it is uploaded. */
export interface SourceArchive {
	/** tar.gz; the same directory gives the same bytes. */
	readonly bytes: Buffer;
	readonly files: readonly string[];
}

/** Packs a directory, without node_modules, .git and what its `.berthignore` names. @throws CommandFailure */
export async function packDirectory(directory: string): Promise<SourceArchive> {
	const files = await collect(directory, ignoreOf(await readOr(join(directory, ".berthignore"), "")));
	if (files.length === 0) throw new CommandFailure(EXIT.usage, `${directory}: no file to deploy is in there`);
	const bytes = await promisify(gzip)(tarOf(files), { level: 9 });
	// The header's tenth byte names the system that packed it (RFC 1952, 2.3.1): always "unknown".
	bytes[9] = 255;
	if (bytes.length > FIXED_LIMITS.archiveBytes) throw tooLarge(directory, files);
	return { bytes, files: files.map((file) => file.path) };
}

async function collect(root: string, ignored: Ignore): Promise<ArchiveFile[]> {
	const files: ArchiveFile[] = [];
	let total = 0;
	const visit = async (below: string): Promise<void> => {
		for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
			const path = below === "" ? entry.name : `${below}/${entry.name}`;
			if (ignored(path, entry.isDirectory())) continue;
			if (entry.name.includes("\ufffd")) await refuseUndecoded(root, path);
			if (entry.isDirectory()) {
				await visit(path);
				continue;
			}
			if (!entry.isFile()) {
				const kind = entry.isSymbolicLink() ? "a symbolic link" : "no regular file";
				throw new CommandFailure(EXIT.usage, `${join(root, path)} is ${kind}, which an archive can't hold: name it in .berthignore`);
			}
			const { mode, size } = await lstat(join(root, path));
			total += size;
			if (total > MOST_BYTES) throw tooLarge(root, files);
			files.push({ path, bytes: await readFile(join(root, path)), executable: (mode & OWNER_EXECUTE) !== 0 });
		}
	};
	await visit("");
	return files;
}

/** A name that isn't UTF-8 was read as another one, which isn't there. */
async function refuseUndecoded(root: string, path: string): Promise<void> {
	try {
		await lstat(join(root, path));
	} catch (error) {
		if (!isMissing(error)) throw error;
		const what = `${join(root, path)} has a name that isn't UTF-8, which an archive can't hold`;
		throw new CommandFailure(EXIT.usage, `${what}: rename it, or name it in .berthignore, with * for what can't be written`);
	}
}

function tooLarge(directory: string, files: readonly ArchiveFile[]): CommandFailure {
	const largest = files.toSorted((a, b) => b.bytes.length - a.bytes.length).slice(0, 3);
	return new CommandFailure(
		EXIT.usage,
		`${directory} packs to more than ${FIXED_LIMITS.archiveBytes / MIB} MiB. The largest files:\n` +
			`${largest.map((file) => `  ${(file.bytes.length / MIB).toFixed(1)} MiB  ${file.path}`).join("\n")}\nName what isn't needed in .berthignore.`,
	);
}

async function readOr(path: string, otherwise: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (isMissing(error)) return otherwise;
		throw error;
	}
}
