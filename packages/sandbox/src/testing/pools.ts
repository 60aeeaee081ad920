import { join } from "node:path";
import { type InvokeHead, MIB } from "@berth/contracts";
import { afterEach, beforeEach, expect, vi } from "vitest";
import type { Lease } from "../lease.js";
import { Pool } from "../pool.js";
import type { PoolOptions } from "../pool-parts.js";
import { temporaryDirectory } from "./directory.js";
import { FakeEngine } from "./fake-engine.js";
import { BASE, OTHER_BASE, version } from "./versions.js";

export const RAN = { runMs: 1, cpuMs: 1 };
export const HEAD: InvokeHead = {
	id: "inv_1",
	attempt: 1,
	timeoutMs: 5000,
	trigger: { kind: "event" },
	maxBodyBytes: MIB,
	maxHeaderBytes: 1000,
};

const directory = temporaryDirectory();
const pools: Pool[] = [];
/** What the pools of the test said of sandboxes that nobody waits for. */
export const troubles: string[] = [];
/** The engine of the test that runs. */
export let engine: FakeEngine;
beforeEach(() => {
	engine = new FakeEngine(directory.path, join(directory.path, "a"));
	troubles.length = 0;
});
afterEach(async () => {
	vi.useRealTimers();
	for (const pool of pools.splice(0)) await pool.close();
});

/** A pool on it, closed after the test. */
export async function start(changes: Partial<PoolOptions> = {}): Promise<Pool> {
	const pool = new Pool({
		engine,
		layers: () => {
			throw new Error("no layer is asked for");
		},
		bases: { node24: BASE, node22: OTHER_BASE, python3: OTHER_BASE, custom: OTHER_BASE, build: BASE },
		node: "node_test",
		agentSockets: join(directory.path, "a"),
		memoryBudgetBytes: 4096 * MIB,
		prewarmed: 0,
		prewarmedBuilds: 0,
		idleTtlMs: 60_000,
		cores: 2,
		crashesAllowed: 5,
		targetOf: () => Promise.resolve(undefined),
		onTrouble: (message) => void troubles.push(message),
		...changes,
	});
	pools.push(pool);
	await pool.start();
	await pool.warmed();
	return pool;
}

/** Runs one invocation and gives the sandbox back. */
export async function run(lease: Lease): Promise<void> {
	const { healthy, outcome } = await lease.sandbox.invoke(HEAD, Buffer.alloc(0));
	expect(outcome).toBe("succeeded");
	lease.release(healthy, RAN);
}

export async function use(pool: Pool, name: string, manifest: Parameters<typeof version>[1] = {}): Promise<Lease> {
	const lease = await pool.acquire(version(name, manifest));
	await run(lease);
	return lease;
}

/** Waits until the sandbox that was used last is frozen. */
export async function frozen(pool: Pool, id: string): Promise<void> {
	await expect.poll(() => pool.list().find((each) => each.id === id)?.state, { interval: 5 }).toBe("frozen");
}
