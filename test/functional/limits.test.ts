import { LIMITS } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { cpuWeightOf, memoryLimitOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const MIB = 1024 * 1024;

describe("a function that takes all it can get", () => {
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
		// It keeps that until it runs again; then a second's rest may have made up for it.
		const heavy = await weightAfter(200);
		const light = await eventually(async () => {
			const found = await weightAfter(0);
			expect(found.weight).toBeGreaterThan(heavy.weight);
			return found;
		});
		expect(light.sandbox).toBe(heavy.sandbox);
		expect(light.weight / heavy.weight).toBeGreaterThanOrEqual(4);
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

	it("of the log doesn't fill the memory of a function that prints faster than it is read", async () => {
		const source = `export default async ({ pausing }) => {
			for (let i = 0; i < 200_000; i++) {
				console.log("x".repeat(999));
				if (pausing && i % 100 === 0) await new Promise(setImmediate);
			}
		};`;
		const deployed = await deploy(stack, { source });
		for (const pausing of [false, true]) {
			const answer = await deployed.invoke({ pausing });
			expect([answer.outcome, (await deployed.record(answer)).logsTruncated]).toEqual(["succeeded", true]);
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
