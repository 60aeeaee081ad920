import { describe, expect, it } from "vitest";
import { cpuTicksOf, standsStill } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, freshName, refusalOf } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

interface Count {
	readonly invocations: number;
	readonly fileWasThere: boolean;
}

async function sandboxOf(deployed: Deployed, payload: unknown = {}): Promise<string> {
	const record = await deployed.record(await deployed.invoke(payload));
	expect(record.outcome).toBe("succeeded");
	return record.sandbox as string;
}

async function sandboxesOf(name: string) {
	return (await stack.client.sandboxes()).filter((each) => each.function === name);
}

describe("a sandbox", () => {
	it("serves its version again and again: globals and /tmp stay", async () => {
		const deployed = await deploy(stack, { source: fixture("counts") });
		const counts: Count[] = [];
		for (let round = 0; round < 3; round++) counts.push(await deployed.result<Count>());
		expect(counts).toEqual([
			{ invocations: 1, fileWasThere: false },
			{ invocations: 2, fileWasThere: true },
			{ invocations: 3, fileWasThere: true },
		]);
		expect(new Set([await sandboxOf(deployed), await sandboxOf(deployed)]).size).toBe(1);
	});

	it("with scratch: fresh finds /tmp empty, though its globals stay", async () => {
		const deployed = await deploy(stack, { source: fixture("counts"), scratch: "fresh" });
		expect([await deployed.result<Count>(), await deployed.result<Count>()]).toEqual([
			{ invocations: 1, fileWasThere: false },
			{ invocations: 2, fileWasThere: false },
		]);
	});

	it("with reuse: never serves one invocation", async () => {
		const deployed = await deploy(stack, { source: fixture("counts"), reuse: "never" });
		const used = new Set<string>();
		for (let round = 0; round < 3; round++) {
			const answer = await deployed.invoke();
			expect(JSON.parse(answer.raw.body.toString())).toEqual({ invocations: 1, fileWasThere: false });
			used.add((await deployed.record(answer)).sandbox as string);
		}
		expect(used.size).toBe(3);
		await eventually(async () => expect(await sandboxesOf(deployed.name)).toEqual([]));
	});

	it("with reuse: 2 serves two", async () => {
		const deployed = await deploy(stack, { source: fixture("counts"), reuse: 2 });
		const seen: number[] = [];
		for (let round = 0; round < 5; round++) seen.push((await deployed.result<Count>()).invocations);
		expect(seen).toEqual([1, 2, 1, 2, 1]);
	});

	it("never serves another version or another function", async () => {
		const names = [freshName("a"), freshName("b")];
		const served = new Map<string, Set<string>>();
		for (const name of names) {
			for (const mark of ["one", "two"]) {
				const deployed = await deploy(stack, { name, source: fixture("sleeps"), env: { MARK: mark } });
				for (let round = 0; round < 2; round++) {
					const answer = await deployed.invoke();
					expect(answer.raw.body.toString()).toBe(mark);
					const { sandbox = "" } = await deployed.record(answer);
					served.set(sandbox, (served.get(sandbox) ?? new Set()).add(`${name} ${mark}`));
				}
			}
		}
		expect([...served.values()].filter((versions) => versions.size > 1)).toEqual([]);
		expect(served.size).toBe(4);
	});

	it("is replaced when it is killed, idle or busy, and the function answers on", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		const idle = await sandboxOf(deployed);
		expect(await stack.client.command({ kind: "kill", sandbox: idle })).toEqual({ affected: 1 });
		const busy = deployed.invoke({ ms: 20_000 });
		const victim = await eventually(async () => {
			const found = (await sandboxesOf(deployed.name)).find(({ state }) => state === "busy");
			expect(found).toBeDefined();
			return found?.id as string;
		});
		expect(victim).not.toBe(idle);
		await stack.client.command({ kind: "kill", sandbox: victim });
		expect((await busy).outcome).toBe("crashed");
		expect(await deployed.result()).toBe("slept");
	});
});

describe("an idle sandbox", () => {
	it("is frozen: a timer that its function left takes not one tick of CPU, and goes on when it is used again", async () => {
		const deployed = await deploy(stack, { source: fixture("leaves-timer") });
		const sandbox = await sandboxOf(deployed);
		await eventually(async () => expect((await sandboxesOf(deployed.name)).map(({ state }) => state)).toEqual(["frozen"]));
		await eventually(() => expect(standsStill(stack.dataDir, sandbox)).toBe(true));
		const before = cpuTicksOf(stack.dataDir, sandbox);
		await eventually(async () => {
			const [info] = await sandboxesOf(deployed.name);
			expect(info?.idleMs).toBeGreaterThan(4000);
		});
		expect(cpuTicksOf(stack.dataDir, sandbox)).toBe(before);
		const { ticks } = await deployed.result<{ ticks: number }>();
		// Four seconds of a running 1 ms timer would be thousands.
		expect(ticks).toBeLessThan(500);
		expect(await sandboxOf(deployed)).toBe(sandbox);
	});

	it("is evicted on demand", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		await sandboxOf(deployed);
		expect(await stack.client.command({ kind: "evict", function: deployed.name })).toEqual({ affected: 1 });
		expect(await sandboxesOf(deployed.name)).toEqual([]);
	});
});

describe("a burst", () => {
	it("of thirty invocations of a quick function doesn't make thirty sandboxes", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		const answers = await Promise.all(Array.from({ length: 30 }, () => deployed.invoke()));
		expect(answers.every(({ outcome }) => outcome === "succeeded")).toBe(true);
		const records = await Promise.all(answers.map((answer) => deployed.record(answer)));
		expect(new Set(records.map(({ sandbox }) => sandbox)).size).toBeLessThan(15);
	});

	it("never has more sandboxes at work than the function's concurrency", async () => {
		const source = `export default async () => { await new Promise((resolve) => setTimeout(resolve, 100)); };`;
		const deployed = await deploy(stack, { source, concurrency: 2 });
		const answers = await Promise.all(Array.from({ length: 12 }, () => deployed.invoke()));
		const records = await Promise.all(answers.map((answer) => deployed.record(answer)));
		expect(records.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 12 }, () => "succeeded"));
		expect(new Set(records.map(({ sandbox }) => sandbox)).size).toBeLessThanOrEqual(2);
	});

	it("of slow invocations is served side by side", async () => {
		const source = `export default ({ ms }: any, { signal }: any) => new Promise((resolve) => {
			setTimeout(resolve, ms);
			signal.addEventListener("abort", resolve);
		});`;
		const deployed = await deploy(stack, { source, memoryMiB: 64, timeoutMs: 60_000 });
		// Busy or not, the node knows then that it waits rather than computes.
		expect((await deployed.invoke({ ms: 1000 })).outcome).toBe("succeeded");
		const leave = new AbortController();
		// One that a busy machine had no sandbox for in time asks again.
		const asking = Array.from({ length: 4 }, async () => {
			while (!leave.signal.aborted) await deployed.invoke({ ms: 50_000 }, { signal: leave.signal }).catch(() => undefined);
		});
		try {
			const states = async () => (await sandboxesOf(deployed.name)).map(({ state }) => state);
			await eventually(async () => expect(await states()).toEqual(["busy", "busy", "busy", "busy"]), 60_000);
		} finally {
			leave.abort();
			await Promise.all(asking);
		}
	});
});

describe("how a sandbox came to be", () => {
	it("is prewarmed while there are some, and boot when there is none", async () => {
		await stack.client.command({ kind: "prewarm", floor: 2 });
		const first = await deploy(stack, { source: fixture("sleeps") });
		expect((await first.record(await first.invoke())).start).toBe("prewarmed");
		await stack.client.command({ kind: "prewarm", floor: 0 });
		const second = await deploy(stack, { source: fixture("sleeps") });
		expect((await second.record(await second.invoke())).start).toBe("boot");
		await stack.client.command({ kind: "prewarm", floor: "default" });
		const third = await deploy(stack, { source: fixture("sleeps") });
		expect((await third.record(await third.invoke())).start).toBe("prewarmed");
	});
});

describe("a function with a minimum", () => {
	const idleOf = async (name: string) => (await sandboxesOf(name)).filter(({ state }) => state === "warm" || state === "frozen");

	it("has it without any invocation, of the version that is live, and its first one finds it warm", async () => {
		const deployed = await deploy(stack, { source: fixture("counts"), pool: { min: 2 } });
		const { name } = deployed;
		await eventually(async () => expect(await idleOf(name)).toHaveLength(2));
		expect((await idleOf(name)).map(({ kept, invocations }) => [kept, invocations])).toEqual(Array(2).fill([{ why: "minimum" }, 0]));
		expect(await deployed.record(await deployed.invoke({}))).toMatchObject({ start: "warm" });
		const next = await deploy(stack, { name, source: `${fixture("counts")}\n// again`, pool: { min: 1 } });
		await eventually(async () =>
			expect((await idleOf(name)).filter((each) => each.version === next.version.number).map(({ kept }) => kept)).toEqual([
				{ why: "minimum" },
			]),
		);
		await stack.client.remove(name);
	});

	it("has it in a window that is open", async () => {
		const { name } = await deploy(stack, { source: fixture("counts"), pool: { windows: [{ cron: "* * * * *", forMs: 120_000, min: 1 }] } });
		await eventually(async () => expect((await idleOf(name)).map(({ kept }) => kept)).toEqual([{ why: "minimum" }]));
		await stack.client.remove(name);
	});

	it("is refused where its project may not have so much, and told how much it may", async () => {
		const refused = await refusalOf(deploy(stack, { source: fixture("counts"), pool: { min: 5 } }));
		expect(refused).toMatchObject({ code: "quota_exceeded", status: 403, quota: "warmMiB", limit: 512 });
		expect(refused.detail).toContain("may have 512 MiB of sandboxes that are always ready");
	});
});
