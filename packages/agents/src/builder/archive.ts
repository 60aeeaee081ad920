import { constants, gunzipSync } from "node:zlib";
import type { SourceKind } from "@berth/contracts/agent";
import { ARCHIVE_LIMITS, ArchiveError, tooMuch, unpackedLimit, wrongFormat } from "./archive-rules.js";
import { type SourceFile, SourceFiles } from "./source-files.js";
import { readTar } from "./tar.js";
import { readZip } from "./zip.js";

/** The files of a source, in memory; nothing is written before all of it was looked at. @throws ArchiveError */
export function unpackSource(kind: SourceKind, filename: string, bytes: Uint8Array): readonly SourceFile[] {
	const files = new SourceFiles();
	if (kind === "file") files.addFile(filename, bytes);
	else if (kind === "zip") readZip(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), files);
	else readTar(gunzip(bytes), files);
	return files.all();
}

/** A tar's headers and padding are the archive's, not the files': they get room of their own. */
function gunzip(bytes: Uint8Array): Buffer {
	const maxOutputLength = unpackedLimit(bytes.byteLength) + ARCHIVE_LIMITS.entries * 2048;
	try {
		return gunzipSync(bytes, { maxOutputLength, finishFlush: constants.Z_FINISH });
	} catch (error) {
		throw refusalOf(error as NodeJS.ErrnoException, bytes);
	}
}

function refusalOf({ code, message }: NodeJS.ErrnoException, bytes: Uint8Array): ArchiveError {
	if (code === "ERR_BUFFER_TOO_LARGE") return tooMuch(bytes.byteLength);
	if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return wrongFormat(bytes, "gzip");
	if (code === "Z_BUF_ERROR") return new ArchiveError(undefined, "is cut off: its gzip ends too early; send all of it");
	return new ArchiveError(undefined, `is damaged, its gzip can't be unpacked (${message}); pack it and send it again`);
}
