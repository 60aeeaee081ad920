import { MIB } from "@berth/contracts";
import { expect, test, vi } from "vitest";
import type { Lease } from "./lease.js";
import type { Pool } from "./pool.js";
import { run, start } from "./testing/pools.js";
import { version } from "./testing/versions.js";
import type { Specialisation } from "./version-target.js";

const RUN_MS = 100;

const of = (project: string, name: string): Specialisation => ({ ...version(name), project, key: `${project}/${name}:1` });

/**
 * A node with memory for one sandbox, which floods have: so many callers of each version, from the beginning on. Then somebody else asks.
 * @returns how many runs of the floods go before, when each takes so long
 */
async function runsBefore(pool: Pool, floods: readonly Specialisation[], callers: number, asks: Specialisation): Promise<number> {
	vi.useFakeTimers({ toFake: ["performance"] });
	const served: Lease[] = [];
	const ask = (target: Specialisation) => pool.acquire(target).then((lease) => void served.push(lease));
	const next = async () => {
		await expect.poll(() => served.length, { interval: 1 }).toBe(1);
		return served.pop() as Lease;
	};
	const asked = [...floods.flatMap((flood) => Array.from({ length: callers }, () => ask(flood))), ask(asks)];
	try {
		for (let before = 0; ; before++) {
			const lease = await next();
			if (lease.sandbox.specialisation?.key === asks.key) return before;
			vi.advanceTimersByTime(RUN_MS);
			await run(lease);
		}
	} finally {
		const ends = Promise.allSettled(asked);
		await pool.close();
		await ends;
	}
}

test("a version with an endless stream of callers leaves its memory to another after a second, though they all came before", async () => {
	const pool = await start({ memoryBudgetBytes: 128 * MIB });
	expect(await runsBefore(pool, [of("one", "hot")], 60, of("one", "cold"))).toBeLessThanOrEqual(1000 / RUN_MS + 1);
});

test("so does a project with many versions, all of which have waited for longer, to another project", async () => {
	const pool = await start({ memoryBudgetBytes: 128 * MIB });
	const floods = Array.from({ length: 12 }, (_, at) => of("flood", `hot${at}`));
	expect(await runsBefore(pool, floods, 5, of("quiet", "cold"))).toBeLessThanOrEqual(1000 / RUN_MS + 1);
});
