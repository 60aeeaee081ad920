import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sandboxProcessesOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

async function frozen(deployed: Deployed): Promise<void> {
	await eventually(async () => {
		const states = (await stack.client.sandboxes()).filter((each) => each.function === deployed.name).map(({ state }) => state);
		expect(states).toEqual(["frozen"]);
	});
}

describe("what one function leaves", () => {
	it("in files and abstract sockets isn't seen by another, nor by its own next version", async () => {
		const mark = `mark-${process.pid}`;
		const one = await deploy(stack, { source: fixture("leaves-markers") });
		expect((await one.result<{ left: string[] }>({ leave: mark })).left).toEqual(["/tmp"]);
		const other = await deploy(stack, { source: fixture("leaves-markers") });
		const next = await deploy(stack, { name: one.name, source: fixture("leaves-markers"), env: { VERSION: "2" } });
		for (const each of [other, next]) {
			expect(await each.result({ find: mark })).toEqual({ found: [], socket: "ECONNREFUSED", tmp: [] });
		}
	});

	it("in globals isn't seen by another", async () => {
		const source =
			"export default (p: any) => { const seen = (globalThis as any).mark ?? null; (globalThis as any).mark = p.mark; Array.prototype.at = () => 'stolen'; return seen; };";
		const one = await deploy(stack, { source });
		await one.result({ mark: 1 });
		const other = await deploy(stack, { source: "export default () => [(globalThis as any).mark ?? null, [7].at(0)];" });
		expect(await other.result()).toEqual([null, 7]);
	});

	it("as a secret in its environment isn't found by another, wherever it looks", async () => {
		const secret = `s3cret-${process.pid}`;
		const one = await deploy(stack, { source: "export default () => 1;", env: { TOKEN: secret } });
		await one.result();
		const other = await deploy(stack, { source: fixture("looks-around") });
		const seen = await other.result({
			read: ["/proc/1/environ", "/proc/1/cmdline", "/proc/self/environ"],
			list: ["/tmp", "/function", "/run"],
		});
		expect(JSON.stringify(seen)).not.toContain(secret);
	});
});

describe("what a function leaves running", () => {
	it("as a timer stands still, and gets no time of its own between invocations", async () => {
		const deployed = await deploy(stack, { source: fixture("works-late") });
		await deployed.result({ leave: "timer" });
		await frozen(deployed);
		expect((await deployed.result<{ beats: number }>({})).beats).toBeLessThan(500);
	});

	it.each(["rejection", "throw"] as const)("as a late %s is charged to no other invocation", async (leave) => {
		const deployed = await deploy(stack, { source: fixture("works-late") });
		await deployed.result({ leave });
		const next = await deployed.invoke({});
		expect(next.outcome).toBe("succeeded");
		expect((await deployed.record(next)).error).toBeUndefined();
	});

	it("as lines that it prints later is not in the log of another invocation, or says whose it is", async () => {
		const deployed = await deploy(stack, { source: fixture("works-late") });
		await deployed.result({ leave: "print" });
		await frozen(deployed);
		const record = await deployed.record(await deployed.invoke({}));
		expect(record.outcome).toBe("succeeded");
		expect(record.logs.filter(({ text }) => /^late line/.test(text))).toEqual([]);
	});

	it("as a daemon is gone before the next invocation", async () => {
		const deployed = await deploy(stack, { source: fixture("daemonizes"), memoryMiB: 256 });
		const first = await deployed.record(await deployed.invoke({ leave: true }));
		expect(first.outcome).toBe("succeeded");
		expect(await deployed.result<number>({})).toBeLessThanOrEqual(2);
		await eventually(() => expect(sandboxProcessesOf(stack.dataDir, first.sandbox ?? "")).toEqual([]));
	});

	it("though it ignores every signal that can be ignored is killed at its timeout", async () => {
		const deployed = await deploy(stack, { source: fixture("ignores-signals"), timeoutMs: 500 });
		const answer = await deployed.invoke({ stay: true });
		expect(answer.outcome).toBe("timed_out");
		const { sandbox = "" } = await deployed.record(answer);
		expect(sandboxProcessesOf(stack.dataDir, sandbox)).toEqual([]);
		expect(await deployed.result({})).toBe("alive");
	});
});

describe("a function that takes what it can get", () => {
	it("of the CPU leaves its neighbour's invocations answered", async () => {
		const victim = await deploy(stack, { source: fixture("sleeps") });
		const burner = await deploy(stack, { source: fixture("burns"), timeoutMs: 3000, memoryMiB: 64 });
		await victim.result();
		const burning = Array.from({ length: 4 }, () => burner.invoke({ burn: true }));
		const outcomes: string[] = [];
		for (let round = 0; round < 20; round++) outcomes.push((await victim.invoke()).outcome);
		expect(outcomes).toEqual(Array.from({ length: 20 }, () => "succeeded"));
		expect((await Promise.all(burning)).map(({ outcome }) => outcome)).toEqual(["timed_out", "timed_out", "timed_out", "timed_out"]);
	});

	it("of the log leaves the worker's memory as it was", async () => {
		const flood = await deploy(stack, { source: fixture("floods-log"), timeoutMs: 15_000 });
		const before = await workerMemory();
		const answer = await flood.invoke({ lines: 150_000 });
		expect(["succeeded", "timed_out"]).toContain(answer.outcome);
		expect((await flood.record(answer)).logsTruncated).toBe(true);
		expect((await workerMemory()) - before).toBeLessThan(100 * 1024 * 1024);
	});

	async function workerMemory(): Promise<number> {
		const { scrape } = await import("../harness/metrics.js");
		return (await scrape(stack)).sum("berth_worker_process_resident_memory_bytes");
	}
});
