import type { SourceRequest } from "@berth/contracts/agent";
import type { Built } from "../answer.js";
import { unpackSource } from "../archive.js";
import { ArchiveError } from "../archive-rules.js";
import { withoutTopDirectory } from "../entry.js";
import { unfitPath } from "../python.js";
import { failure, refused } from "../refusals.js";
import type { SourceFile } from "../source-files.js";

/** An archive in, out the files that a Dockerfile of it is built with. Nothing of them is looked into here. */
export function buildContext({ entry: dockerfile = "" }: SourceRequest, archive: Uint8Array): Built {
	const startedAt = performance.now();
	try {
		const files = contextWith(dockerfile, unpackSource("tar.gz", "", archive));
		if (files === undefined) {
			const message = `The manifest's dockerfile ${JSON.stringify(dockerfile)} isn't in the source.`;
			return refused(failure("build_failed", "unpack", message));
		}
		const unfit = unfitPath(files);
		if (unfit !== undefined) throw new ArchiveError(unfit, "is too long a path, or has a control character");
		const phases = { unpackMs: performance.now() - startedAt, bundleMs: 0, checkMs: 0 };
		return { answer: { ok: true, entry: dockerfile, needsDependencies: false, warnings: [], phases }, files };
	} catch (error) {
		if (error instanceof ArchiveError) return refused(failure("archive_rejected", "unpack", error.message));
		throw error;
	}
}

function contextWith(dockerfile: string, files: readonly SourceFile[]): readonly SourceFile[] | undefined {
	return [files, withoutTopDirectory(files)].find((all) => all?.some(({ path }) => path === dockerfile));
}
