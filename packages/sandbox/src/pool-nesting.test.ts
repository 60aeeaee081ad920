import { MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import type { Lease } from "./lease.js";
import type { Pool } from "./pool.js";
import { engine, run, start } from "./testing/pools.js";
import { version } from "./testing/versions.js";

type Manifest = Parameters<typeof version>[1];

let made = 0;

/** An invocation in a pool, and what it waits for. */
class Asked {
	readonly id = `inv_${++made}`;
	readonly lease: Promise<Lease>;
	readonly #pool: Pool;
	readonly #depth: number;

	constructor(pool: Pool, name: string, manifest: Manifest = {}, parent?: Asked) {
		this.#pool = pool;
		this.#depth = parent === undefined ? 0 : parent.#depth + 1;
		const nesting = { invocation: this.id, depth: this.#depth, ...(parent === undefined ? {} : { parent: parent.id }) };
		this.lease = pool.acquire(version(name, manifest), [], nesting);
		this.lease.catch(() => undefined);
	}

	/** Invokes another one, runs it, and waits for it meanwhile. */
	async invoke(name: string, manifest: Manifest = {}, during: (child: Asked) => Promise<unknown> = async () => undefined): Promise<void> {
		const over = this.#pool.waits(this.id);
		try {
			const child = new Asked(this.#pool, name, manifest, this);
			const lease = await child.lease;
			await during(child).finally(() => run(lease));
		} finally {
			over();
		}
	}

	/** Runs, invokes, ends. @returns the code of what it invoked, or "done" */
	async whole(name: string, manifest?: Manifest): Promise<string> {
		const lease = await this.lease;
		const outcome = await this.invoke(name, manifest).then(
			() => "done",
			({ code }: { readonly code: string }) => code,
		);
		await run(lease);
		return outcome;
	}
}

const roots = async (pool: Pool, count: number) => {
	const all = Array.from({ length: count }, (_, n) => new Asked(pool, `root${n}`));
	await Promise.all(all.map(({ lease }) => lease));
	return all;
};
const settles = () => new Promise((resolve) => setTimeout(resolve, 20));

test("a node whose memory is full of invocations that wait for others has some left for those", async () => {
	const pool = await start({ memoryBudgetBytes: 1024 * MIB });
	const all = await roots(pool, 7);
	const late = new Asked(pool, "late");
	await settles();
	expect(engine.of("late")).toEqual([]);
	expect(await Promise.all(all.map((root) => root.whole("child")))).toEqual(all.map(() => "done"));
	await run(await late.lease);
});

test("also for what those wait for, eight deep", async () => {
	const pool = await start({ memoryBudgetBytes: 8192 * MIB });
	const all = await roots(pool, 56);
	const deeper = async (one: Asked, depth: number): Promise<unknown> =>
		depth < 8 ? one.invoke(`deep${depth}`, {}, (child) => deeper(child, depth + 1)) : undefined;
	await deeper(all[0] as Asked, 0);
	expect(engine.of("deep7")).toHaveLength(1);
});

test("an invocation alone may have all the memory", async () => {
	const pool = await start({ memoryBudgetBytes: 1024 * MIB });
	await run(await new Asked(pool, "large", { memoryMiB: 1024 }).lease);
});

test("without any left, one of those that wait for it is told so at once, and the others go on", async () => {
	const pool = await start({ memoryBudgetBytes: 512 * MIB });
	const all = await roots(pool, 4);
	const outcomes = await Promise.all(all.map((root) => root.whole("child")));
	expect(outcomes.filter((outcome) => outcome === "done").length).toBeGreaterThan(0);
	expect(outcomes.filter((outcome) => outcome !== "done")).toEqual(["node_full"]);
});

test("what is deeper has memory first", async () => {
	const pool = await start({ memoryBudgetBytes: 256 * MIB });
	const [waits, runs] = (await roots(pool, 2)) as [Asked, Asked];
	const root = new Asked(pool, "other");
	const invoked = waits.invoke("child", {}, async () => expect(engine.of("other")).toEqual([]));
	await settles();
	await run(await runs.lease);
	await invoked;
	await run(await waits.lease);
	await run(await root.lease);
});

test.each([1, 2])("a function that invokes itself beyond its concurrency of %i is told so at once", async (concurrency) => {
	const pool = await start();
	const all = Array.from({ length: concurrency }, () => new Asked(pool, "self", { concurrency }));
	await Promise.all(all.map(({ lease }) => lease));
	const outcomes = await Promise.all(all.map((one) => one.whole("self", { concurrency })));
	expect(outcomes).toEqual(concurrency === 1 ? ["deadlock"] : ["done", "deadlock"]);
});

test("so is one that invokes itself by way of another", async () => {
	const pool = await start();
	const self = new Asked(pool, "self", { concurrency: 1 });
	const lease = await self.lease;
	await expect(self.invoke("other", {}, (other) => other.invoke("self", { concurrency: 1 }))).rejects.toMatchObject({ code: "deadlock" });
	await run(lease);
});

test("one that waits for what another run gives back isn't", async () => {
	const pool = await start();
	const busy = new Asked(pool, "busy", { concurrency: 1 });
	const lease = await busy.lease;
	const asks = new Asked(pool, "asks");
	await asks.lease;
	const invoked = asks.invoke("busy", { concurrency: 1 });
	await settles();
	await run(lease);
	await invoked;
	await run(await asks.lease);
});

test("a function that invokes itself has a sandbox for each depth at once: who waits serves nobody", async () => {
	const pool = await start({ cores: 1 });
	const self = new Asked(pool, "self");
	await self.lease;
	const before = performance.now();
	await self.invoke("self", {}, (one) => one.invoke("self", {}, (two) => two.invoke("self")));
	expect(engine.of("self")).toHaveLength(4);
	// Nobody waited until it showed whether one more was worth it.
	expect(pool.stats.starts).toMatchObject({ warm: 0 });
	expect(performance.now() - before).toBeLessThan(5000);
	await run(await self.lease);
});
