import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { timeProgram } from "./timed-runs.js";

// Measures an OCI runtime from a mount namespace of its own: `oci-child.js <runtime> <bundle> <runs>`. There the v2
// hierarchy of a hybrid host can be unmounted, beside which crun refuses to work, and nobody else notices.

const UNIFIED = "/sys/fs/cgroup/unified";
const [runtime = "", bundle = "", runs = ""] = process.argv.slice(2);

try {
	if (existsSync(`${UNIFIED}/cgroup.procs`)) execFileSync("umount", [UNIFIED]);
	const args = (run: number) => ["run", "--bundle", bundle, `berth-floor-${process.pid}-${run}`];
	process.stdout.write(JSON.stringify(await timeProgram({ command: runtime, args }, Number(runs))));
} catch (error) {
	// One line: it becomes the reason why this floor is skipped.
	const { code, message } = error as { readonly code?: unknown; readonly message: string };
	process.stderr.write(`${code === "ENOENT" ? `${runtime} isn't installed` : message}\n`);
	process.exitCode = 1;
}
