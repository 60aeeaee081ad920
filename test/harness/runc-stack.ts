import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { fetchRunc } from "./guest/debian.js";
import { shareStacks } from "./shared-stacks.js";
import { Stack } from "./stack.js";

/** One stack on runc for all files of a suite (vitest's globalSetup), whatever OCI runtimes this machine has. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const directory = await mkdtemp("/var/lib/berth-runc-");
	const remove = () => rm(directory, { recursive: true, force: true });
	try {
		const runc = await fetchRunc(join(directory, "runc"));
		const stop = await shareStacks(project, () => Stack.start({ BERTH_OCI_RUNTIME: runc }));
		return () => stop().finally(remove);
	} catch (error) {
		await remove();
		throw error;
	}
}
