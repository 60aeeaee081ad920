import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { SourceFile } from "./source-files.js";

/** A fresh directory with the source in it, for as long as it is bundled. */
export class Workspace implements Disposable {
	readonly directory: string;

	constructor(files: readonly SourceFile[]) {
		this.directory = mkdtempSync(join(tmpdir(), "build-"));
		try {
			for (const { path, bytes } of files) {
				const target = join(this.directory, path);
				mkdirSync(dirname(target), { recursive: true });
				writeFileSync(target, bytes, { flag: "wx" });
			}
		} catch (error) {
			this[Symbol.dispose]();
			throw error;
		}
	}

	[Symbol.dispose](): void {
		rmSync(this.directory, { recursive: true, force: true });
	}
}
