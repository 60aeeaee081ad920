import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isBytecode } from "./python.js";
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

	/** Python's bytecode, which is compiled beside the files it is of. */
	bytecode(): readonly SourceFile[] {
		const paths = readdirSync(this.directory, { recursive: true, encoding: "utf8" }).filter(
			(path) => path.endsWith(".pyc") && isBytecode(path),
		);
		return paths.sort().map((path) => ({ path, bytes: readFileSync(join(this.directory, path)) }));
	}

	[Symbol.dispose](): void {
		rmSync(this.directory, { recursive: true, force: true });
	}
}
