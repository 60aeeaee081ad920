import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Sandboxes that write frames at random, how many each, and how many at a time. */
const FORGERS = process.env["TEST_LONG"] === "1" ? 200 : 20;
const FRAMES = 5000;
const AT_ONCE = 4;
/** What that may make of the worker. */
const GROWTH_BYTES = 128 * 1024 * 1024;

/** Frames that no agent would send: the sandbox that sends one is destroyed, whatever it says afterwards. */
const VIOLATIONS = [
	"another's failure",
	"an answer without an id",
	"a head that is no object",
	"an unknown type",
	"a frame of the worker's",
	"another hello",
	"a head longer than its frame",
	"no JSON",
	"a question that asks for nothing",
	"a question of a build's",
	"more questions than may be open",
];

describe("a function that writes to the agent's socket", () => {
	it.each(VIOLATIONS)("%s: settles nobody else's invocation, and its sandbox is destroyed", async (forge) => {
		const victim = await deploy(stack, { source: fixture("sleeps") });
		const forger = await deploy(stack, { source: fixture("forges-frames") });
		const { id } = await victim.invoke({ ms: 1 });
		const running = victim.invoke({ ms: 700 });
		const forged = await forger.invoke({ forge, id });
		expect(forged.outcome).toBe("crashed");
		expect(forged.problem?.detail).toContain("ProtocolError");
		expect((await running).raw.body.toString()).toBe("slept");
		expect((await victim.record({ id })).outcome).toBe("succeeded");
		const { sandbox } = await forger.record(forged);
		await eventually(async () => expect((await stack.client.sandboxes()).map((each) => each.id)).not.toContain(sandbox));
		expect(await forger.result({})).toBe("honest");
	});

	it("an answer of its own before it returns is its answer, and what it says twice reaches nobody", async () => {
		const forger = await deploy(stack, { source: fixture("forges-frames") });
		const forged = await forger.invoke({ forge: "an answer of its own" });
		expect(["succeeded", "crashed"]).toContain(forged.outcome);
		// Its second answer comes 200 ms later, to whatever runs in that sandbox by then, if anything: that crashes, and is its tenant's own.
		const after = [];
		do after.push(await forger.invoke({}));
		while (after.length < 3 || after.at(-1)?.outcome === "crashed");
		const honest = after.filter(({ outcome }) => outcome !== "crashed");
		expect(honest.map(({ outcome, raw }) => `${outcome}: ${raw.body}`)).toEqual(honest.map(() => "succeeded: honest"));
		expect(after.length - honest.length).toBeLessThanOrEqual(1);
	});

	it("that it is settled, a hundred times, changes nothing for the next invocation", async () => {
		const forger = await deploy(stack, { source: fixture("forges-frames") });
		await forger.invoke({ forge: "settled, again and again" });
		for (let round = 0; round < 3; round++) expect(await forger.result({})).toBe("honest");
	});

	it(
		`${FORGERS * FRAMES} frames at random settle nobody else's invocation, and others are served meanwhile by a worker that doesn't grow`,
		async () => {
			const victim = await deploy(stack, { source: fixture("sleeps") });
			const forger = await deploy(stack, { source: fixture("fuzzes-frames"), timeoutMs: 1000 });
			const { id } = await victim.invoke({ ms: 1 });
			const worker = await stack.pidOf("worker");
			const beforeBytes = memoryBytes(worker);
			let isOver = false;
			let served = 0;
			const serving = (async () => {
				for (; !isOver; served++) expect((await victim.invoke({ ms: 10 })).raw.body.toString()).toBe("slept");
			})();
			for (let seed = 0; seed < FORGERS; seed += AT_ONCE) {
				const invoked = Array.from({ length: AT_ONCE }, (_, more) => forger.invoke({ seed: seed + more, frames: FRAMES, id }));
				for (const { outcome } of await Promise.all(invoked)) expect(["crashed", "timed_out"]).toContain(outcome);
			}
			isOver = true;
			await serving;
			expect(served).toBeGreaterThan(FORGERS / AT_ONCE);
			expect((await victim.record({ id })).outcome).toBe("succeeded");
			expect(await stack.pidOf("worker")).toBe(worker);
			expect(memoryBytes(worker) - beforeBytes).toBeLessThan(GROWTH_BYTES);
		},
		FORGERS * 10_000,
	);
});

/** What a process has in memory. */
function memoryBytes(pid: number): number {
	return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
