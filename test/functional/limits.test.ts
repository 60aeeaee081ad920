import { LIMITS } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { cpuWeightOf, memoryLimitOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { sandboxProcessesOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const MIB = 1024 * 1024;

describe("a function that takes all it can get", () => {
	it("of processes is refused at 64 tasks, says so in its record, and leaves no survivor", async () => {
		const deployed = await deploy(stack, { source: fixture("fork-bomb"), timeoutMs: 8000, memoryMiB: 512 });
		const answer = await deployed.invoke({ fork: true });
		const record = await deployed.record(answer);
		expect(["succeeded", "timed_out", "out_of_memory", "crashed"]).toContain(record.outcome);
		if (record.outcome === "succeeded") expect(record.limitsHit).toContain("pids");
		await eventually(() => expect(sandboxProcessesOf(stack.dataDir, record.sandbox ?? "")).toEqual([]));
		expect(await deployed.result({})).toBe("alive");
	});

	it("of threads is refused at 64 tasks", async () => {
		const deployed = await deploy(stack, { source: fixture("thread-bomb"), memoryMiB: 1024, timeoutMs: 20_000 });
		const answer = await deployed.invoke();
		const record = await deployed.record(answer);
		if (record.outcome === "succeeded") {
			const { started, refused } = JSON.parse(answer.raw.body.toString()) as { started: number; refused: boolean };
			expect(refused).toBe(true);
			expect(started).toBeLessThan(64);
		}
		expect(record.outcome === "succeeded" ? record.limitsHit : ["pids"]).toContain("pids");
		expect(["succeeded", "crashed", "handler_error"]).toContain(record.outcome);
	});

	it("of the CPU comes after others while it does so, and no longer when it has rested", async () => {
		const source = `export default ({ ms }) => {
			const from = process.cpuUsage();
			for (;;) {
				const { user, system } = process.cpuUsage(from);
				if (user + system >= ms * 1000) return ms;
			}
		};`;
		const deployed = await deploy(stack, { source, timeoutMs: 20_000 });
		const weightAfter = async (ms: number) => {
			const { sandbox = "" } = await deployed.record(await deployed.invoke({ ms }));
			return { sandbox, weight: cpuWeightOf(stack.dataDir, sandbox) };
		};
		await weightAfter(200);
		const heavy = await weightAfter(0);
		const light = await eventually(async () => {
			const found = await weightAfter(0);
			expect(found.weight).toBeGreaterThan(heavy.weight);
			return found;
		});
		expect(light.sandbox).toBe(heavy.sandbox);
		expect(light.weight / heavy.weight).toBeGreaterThanOrEqual(10);
	});

	it("of open files gets EMFILE before 512, and is still able to answer", async () => {
		const { opened, code } = await (await deploy(stack, { source: fixture("opens-files") })).result<{ opened: number; code: string }>();
		expect(code).toBe("EMFILE");
		expect(opened).toBeLessThan(512);
		expect(opened).toBeGreaterThan(400);
	});

	it.each([8, LIMITS.tmpfsMiB.default])(
		"of scratch gets ENOSPC at its own %i MiB, and the record says that it was full",
		async (tmpfsMiB) => {
			const deployed = await deploy(stack, { source: fixture("fills-scratch"), tmpfsMiB, memoryMiB: 256 });
			const answer = await deployed.invoke({ fill: true });
			const { code, written, size } = JSON.parse(answer.raw.body.toString()) as { code: string; written: number; size: number };
			expect(code).toBe("ENOSPC");
			expect(size).toBe(tmpfsMiB * MIB);
			expect(written).toBeLessThanOrEqual(tmpfsMiB * MIB);
			expect(written).toBeGreaterThan((tmpfsMiB - 1) * MIB);
			const record = await deployed.record(answer);
			expect(record.usage?.scratchBytes).toBeGreaterThanOrEqual(written);
			expect(record.limitsHit).toContain("scratch");
		},
	);

	it("of inodes gets ENOSPC at 1,024", async () => {
		const { code, made } = await (await deploy(stack, { source: fixture("fills-inodes") })).result<{ code: string; made: number }>();
		expect(code).toBe("ENOSPC");
		expect(made).toBeLessThanOrEqual(1024);
		expect(made).toBeGreaterThan(900);
	});

	it("of CPU gets the fifth of a core that its manifest says", async () => {
		const deployed = await deploy(stack, { source: fixture("spins"), cpuMilli: 200 });
		await deployed.invoke({ ms: 10 });
		const { usage, phases } = await deployed.record(await deployed.invoke({ ms: 2000 }));
		const share = (usage?.cpuMs ?? Number.NaN) / (phases?.runMs ?? Number.NaN);
		expect(share).toBeLessThan(0.35);
		expect(share).toBeGreaterThan(0.05);
	});

	it("of a pipe loses no line of a log and gives none to the next invocation", async () => {
		const source = `export default (p: any) => { for (let i = 0; i < p.lines; i++) console.log("é".repeat(1000)); };`;
		const deployed = await deploy(stack, { source, concurrency: 1 });
		for (const [lines, logged] of [
			[300, 300],
			[3000, undefined],
			[0, 0],
			[1, 1],
		] as const) {
			const record = await deployed.record(await deployed.invoke({ lines }));
			if (logged !== undefined) expect([record.logs.length, record.logsTruncated]).toEqual([logged, false]);
			else expect(record.logsTruncated).toBe(true);
		}
	});

	it("of the log keeps the first MiB, cut and flagged, and the function goes on", async () => {
		const deployed = await deploy(stack, { source: fixture("floods-log") });
		const answer = await deployed.invoke({ lines: 5000 });
		expect(answer.outcome).toBe("succeeded");
		const record = await deployed.record(answer);
		expect(record.logsTruncated).toBe(true);
		expect(record.limitsHit).toContain("log");
		const bytes = record.logs.reduce((sum, { text }) => sum + text.length + 1, 0);
		expect(bytes).toBeLessThanOrEqual(MIB + 1024);
		expect(bytes).toBeGreaterThan(MIB / 2);
	});
});

describe("a limit that the manifest sets", () => {
	it.each([64, 128, 512, 1500])("memory of %i MiB is what the sandbox's cgroup has", async (memoryMiB) => {
		const deployed = await deploy(stack, { source: "export default () => 1;", memoryMiB });
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		expect(memoryLimitOf(stack.dataDir, sandbox)).toBe(memoryMiB * MIB);
		expect((await stack.client.sandboxes()).find(({ id }) => id === sandbox)?.memoryClassMiB).toBeLessThanOrEqual(memoryMiB);
	});
});
