import type { TestProject } from "vitest/node";
import { DockerDaemon } from "./docker-engine.js";
import { shareStacks } from "./shared-stacks.js";
import { Stack } from "./stack.js";

/** One stack on a Docker Engine of its own for all files of a suite (vitest's globalSetup). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const daemon = await DockerDaemon.start();
	try {
		const stop = await shareStacks(project, () => Stack.start(daemon.settings));
		return () => stop().finally(() => daemon.stop());
	} catch (error) {
		await daemon.stop();
		throw error;
	}
}
