import { ARCHIVE_LIMITS, ArchiveError, tooManyEntries } from "./archive-rules.js";

export interface SourceFile {
	/** Relative, with `/`, without `.` or `..`. */
	readonly path: string;
	readonly bytes: Uint8Array;
	/** Whether its archive says that it may be executed. */
	readonly executable?: boolean;
}

const DRIVE = /^[A-Za-z]:/;

/** Collects an archive's entries and holds each against the rules. @throws ArchiveError from every method */
export class SourceFiles {
	readonly #files = new Map<string, SourceFile>();
	readonly #directories = new Set<string>();
	#entries = 0;
	#totalBytes = 0;

	addDirectory(name: string): void {
		this.#count();
		const path = safePath(name);
		if (path !== "") this.#enter(name, path);
	}

	addFile(name: string, bytes: Uint8Array, executable = false): void {
		this.#count();
		const path = safePath(name);
		if (path === "" || name.endsWith("/")) throw new ArchiveError(name, "is a file without a name");
		const key = keyOf(path);
		if (this.#files.has(key)) throw new ArchiveError(name, "is there twice");
		if (this.#directories.has(key)) throw new ArchiveError(name, "is a file and a directory");
		const parent = path.lastIndexOf("/");
		if (parent > 0) this.#enter(name, path.slice(0, parent));
		this.#totalBytes += bytes.byteLength;
		if (this.#totalBytes > ARCHIVE_LIMITS.totalBytes)
			throw new ArchiveError(name, `takes the archive over ${ARCHIVE_LIMITS.totalBytes} bytes; leave out what the function doesn't need`);
		this.#files.set(key, { path, bytes, ...(executable ? { executable } : {}) });
	}

	all(): readonly SourceFile[] {
		return [...this.#files.values()];
	}

	#count(): void {
		this.#entries++;
		if (this.#entries > ARCHIVE_LIMITS.entries) throw tooManyEntries();
	}

	/** Notes a directory and those above it; none of them may be a file. */
	#enter(name: string, path: string): void {
		for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
			const key = keyOf(path.slice(0, end));
			if (this.#directories.has(key)) return;
			if (this.#files.has(key)) throw new ArchiveError(name, "is below a file");
			this.#directories.add(key);
		}
	}
}

/** Two spellings of one name in Unicode are one name. */
function keyOf(path: string): string {
	return path.normalize("NFC");
}

/** The path an entry's name stands for, `""` for the archive's root. @throws ArchiveError naming the rule */
function safePath(name: string): string {
	if (name.includes("\0")) throw new ArchiveError(name, "has a NUL in its name");
	if (name.startsWith("/") || DRIVE.test(name)) throw new ArchiveError(name, "has an absolute path");
	if (name.includes("\\")) throw new ArchiveError(name, "has a backslash in its name");
	const parts = name.split("/").filter((part) => part !== "" && part !== ".");
	if (parts.includes("..")) throw new ArchiveError(name, "leads out of the archive with `..`");
	if (parts.length > ARCHIVE_LIMITS.depth) throw new ArchiveError(name, `is deeper than ${ARCHIVE_LIMITS.depth} names`);
	const path = parts.join("/");
	if (Buffer.byteLength(path) > ARCHIVE_LIMITS.pathBytes)
		throw new ArchiveError(name, `has a path of more than ${ARCHIVE_LIMITS.pathBytes} bytes`);
	return path;
}
