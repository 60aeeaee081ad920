import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const SCRATCH = "/tmp";

/** Empties /tmp: what a version that asks for fresh scratch finds there at each invocation. @param but paths in it that stay */
export function emptyScratch(...but: readonly string[]): void {
	for (const path of readdirSync(SCRATCH).map((name) => join(SCRATCH, name))) {
		if (!but.includes(path)) rmSync(path, { recursive: true, force: true });
	}
}
