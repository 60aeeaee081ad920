import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
// The hook that has Node load the tests' harness is set by this one.
import "./harness.mjs";

export const { Cluster } = await import("../../test/harness/cluster.ts");
export const { Stack } = await import("../../test/harness/stack.ts");
export const { takeKeptBases } = await import("../../test/harness/kept-bases.ts");
const { cgroupsOf } = await import("../../test/harness/leftovers.ts");

const PERIOD_US = 20_000;

/** Gives a stack with all its sandboxes no more CPU time than that of so many cores; it ends with its cgroup. */
export async function holdTo(dataDir, cores) {
	const quotaUs = Math.round(cores * PERIOD_US);
	const written = cgroupsOf(dataDir).map(async (path) => {
		if (existsSync(join(path, "cpu.max"))) return await writeFile(join(path, "cpu.max"), `${quotaUs} ${PERIOD_US}`);
		if (!existsSync(join(path, "cpu.cfs_quota_us"))) return false;
		await writeFile(join(path, "cpu.cfs_period_us"), String(PERIOD_US));
		return await writeFile(join(path, "cpu.cfs_quota_us"), String(quotaUs));
	});
	if ((await Promise.all(written)).every((each) => each === false)) throw new Error(`no cgroup of ${dataDir} limits the CPU`);
}
