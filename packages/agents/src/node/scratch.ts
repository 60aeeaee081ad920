import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const SCRATCH = "/tmp";

/** Empties /tmp: what a version that asks for fresh scratch finds there at each invocation. @param but a path in it that stays */
export function emptyScratch(but?: string): void {
	for (const name of readdirSync(SCRATCH)) if (join(SCRATCH, name) !== but) rmSync(join(SCRATCH, name), { recursive: true, force: true });
}
