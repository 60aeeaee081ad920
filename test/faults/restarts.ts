import { expect } from "vitest";
import { eventually } from "../harness/eventually.js";
import type { Deployed } from "../harness/functions.js";
import { LightLoad } from "../harness/load.js";
import type { ProcessName, Stack } from "../harness/stack.js";

/** Those of Berth's own: nobody notices that one is started again. */
export const OWN: readonly ProcessName[] = ["gateway", "worker", "launcher"];

/**
 * Has processes started again, one after another, so many times each, while a function is invoked without a pause.
 * @returns how many invocations succeeded, and what the others were told
 * @throws when one isn't another process afterwards, or nothing succeeds any more
 */
export async function restartUnderLoad(
	stack: Stack,
	deployed: Deployed,
	names: readonly ProcessName[],
	times = 1,
): Promise<{ readonly succeeded: number; readonly failures: readonly string[] }> {
	const load = new LightLoad(deployed);
	for (let time = 0; time < times; time++) {
		for (const name of names) {
			const before = await stack.pidOf(name);
			const { code, stderr } = await stack.berth("restart", name, "--json");
			expect([name, code, stderr]).toEqual([name, 0, ""]);
			expect(await stack.pidOf(name)).not.toBe(before);
			const { succeeded } = load;
			await eventually(() => expect(load.succeeded).toBeGreaterThan(succeeded + 10));
		}
	}
	await load.stop();
	return load;
}
