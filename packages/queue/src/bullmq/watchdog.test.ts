import { afterEach, expect, test, vi } from "vitest";
import { Watchdog, type Watched } from "./watchdog.js";

const TIMING = { lookMs: 10, stuckMs: 50 };

afterEach(() => {
	vi.useRealTimers();
});

async function watch(watched: Partial<Watched>): Promise<number> {
	vi.useFakeTimers();
	const revive = vi.fn();
	const dog = new Watchdog({ waiting: async () => 1, active: () => 0, taken: () => 0, revive, ...watched }, TIMING);
	await vi.advanceTimersByTimeAsync(100);
	dog.stop();
	expect(dog.revived).toBe(revive.mock.calls.length);
	return dog.revived;
}

test("a worker that takes nothing while jobs wait is made anew", async () => expect(await watch({})).toBeGreaterThan(0));

test.each([
	["nothing waits", { waiting: async () => 0 }],
	["it has something in hand", { active: () => 1 }],
	["it takes jobs", { taken: () => performance.now() }],
	["Redis can't be asked", { waiting: () => Promise.reject(new Error("away")) }],
])("not when %s", async (_, watched) => expect(await watch(watched)).toBe(0));
