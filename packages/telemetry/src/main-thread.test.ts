import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { MainThread } from "./main-thread.js";

/** Computes for so much CPU time, milliseconds. */
function compute(ms: number): void {
	const from = process.cpuUsage();
	for (let used = 0; used < ms * 1000; ) {
		const { user, system } = process.cpuUsage(from);
		used = user + system;
	}
}

test("says for how long the main thread ran, of the time since it was asked last", async () => {
	const thread = new MainThread();
	compute(100);
	const busy = thread.times();
	await pause(100);
	const idle = thread.times();
	thread.close();
	// Other threads of this process have some of what it used.
	expect(busy.ranMs).toBeGreaterThan(30);
	expect(busy.ranMs + busy.waitedMs).toBeLessThan(busy.elapsedMs + 1);
	expect(idle.elapsedMs).toBeGreaterThan(98);
	expect(idle.ranMs).toBeLessThan(busy.ranMs);
	expect(idle.waitedMs).toBeGreaterThanOrEqual(0);
});
