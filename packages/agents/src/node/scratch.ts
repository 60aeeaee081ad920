import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const SCRATCH = "/tmp";

/** Empties /tmp: what a version that asks for fresh scratch finds there at each invocation. */
export function emptyScratch(): void {
	for (const name of readdirSync(SCRATCH)) rmSync(join(SCRATCH, name), { recursive: true, force: true });
}
