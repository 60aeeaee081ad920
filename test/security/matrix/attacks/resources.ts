import { CutError, resultOf } from "@berth/client";
import { LIMITS, type Outcome } from "@berth/contracts";
import { expect } from "vitest";
import { scrape } from "../../../harness/metrics.js";
import type { Attacker, Rows } from "../attack.js";

const MIB = 1024 * 1024;
/** So much memory that another limit is met first, also by gVisor's kernel. */
const ROOMY = { memoryMiB: 512 };

export const resources: Rows<"Resources"> = {
	"CPU burn": {
		heldBy: ["cgroup cpu"],
		fixture: "cpu-burn.py",
		manifest: { cpuMilli: 200 },
		isContained: async ({ attack, servesOn }) => {
			const { answer, record } = await attack();
			expect(answer.outcome).toBe("succeeded");
			expect((record.usage?.cpuMs ?? Number.NaN) / (record.phases?.runMs ?? Number.NaN)).toBeLessThan(0.4);
			await servesOn();
		},
	},
	"a loop without an end": { heldBy: ["deadline"], fixture: "endless-loop.ts", isContained: isTimedOut },
	"memory bomb": { heldBy: ["cgroup memory"], fixture: "memory-bomb.py", isContained: endsAs("out_of_memory") },
	"a full heap": {
		heldBy: [["cgroup memory", "heap size"]],
		fixture: "heap-bomb.ts",
		isContained: endsAs("out_of_memory", "crashed"),
	},
	"tmpfs bomb": {
		heldBy: ["tmpfs size"],
		fixture: "tmpfs-bomb.py",
		manifest: { tmpfsMiB: 16 },
		isContained: async ({ attack, column }) => {
			const { answer, record } = await attack();
			expect(resultOf(answer)).toEqual({ refused: "ENOSPC", written: expect.toSatisfy((written: number) => written <= 16 * MIB) });
			if (column !== "runsc") expect(record.limitsHit).toContain("scratch");
			expect(record.usage?.peakMemoryBytes).toBeGreaterThan(16 * MIB);
		},
	},
	"fork bomb": {
		heldBy: ["cgroup pids"],
		fixture: "fork-bomb.py",
		manifest: ROOMY,
		isContained: async ({ attack, column, isGone, servesOn }) => {
			const { answer, record } = await attack();
			expect(record.limitsHit).toContain("pids");
			// gVisor's kernel ends when it gets no more of the host's tasks.
			if (column === "runsc") expect(answer.outcome).toBe("crashed");
			else expect(resultOf(answer)).toEqual({ refused: "EAGAIN", forked: expect.toSatisfy((forked: number) => forked < 64) });
			await isGone(record.sandbox);
			await servesOn();
		},
	},
	"thread bomb": {
		heldBy: ["cgroup pids"],
		fixture: "thread-bomb.py",
		manifest: ROOMY,
		except: { runsc: "gVisor's own threads" },
		isContained: async ({ attack, servesOn }) => {
			const { answer, record } = await attack();
			expect(record.limitsHit).toContain("pids");
			expect(resultOf(answer)).toEqual({ refused: true, started: expect.toSatisfy((started: number) => started < 64) });
			await servesOn();
		},
	},
	"inodes of scratch": {
		heldBy: ["tmpfs inodes"],
		fixture: "inode-bomb.py",
		isContained: async ({ report }) => {
			expect(await report()).toEqual({ refused: "ENOSPC", made: expect.toSatisfy((made: number) => made <= 1024) });
		},
	},
	descriptors: {
		heldBy: ["rlimits"],
		fixture: "descriptor-bomb.py",
		manifest: { concurrency: 1 },
		isContained: async ({ report, servesOn }) => {
			expect(await report()).toEqual({ refused: "EMFILE", opened: expect.toSatisfy((opened: number) => opened < 512) });
			await servesOn();
		},
	},
	"a gigabyte of log": {
		heldBy: ["log cap"],
		fixture: "log-flood.py",
		isContained: async ({ attack, stack }) => {
			const memory = async () => (await scrape(stack)).sum("berth_worker_process_resident_memory_bytes");
			const before = await memory();
			const { answer, record } = await attack({}, { timeoutMs: 5000 });
			expect(["succeeded", "timed_out"]).toContain(answer.outcome);
			expect(record).toMatchObject({ logsTruncated: true, limitsHit: expect.arrayContaining(["log"]) });
			expect(record.logs.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(MIB + 1024);
			expect((await memory()) - before).toBeLessThan(100 * MIB);
		},
	},
	"a response over the cap": {
		heldBy: ["response cap"],
		fixture: "large-response.py",
		isContained: async ({ attack, servesOn }) => {
			expect((await attack()).answer.outcome).toBe("response_too_large");
			await servesOn();
		},
	},
	"a stream without an end": {
		heldBy: ["stream cap"],
		fixture: "endless-stream.ts",
		own: "source",
		manifest: { streamMiB: 1 },
		isContained: async ({ deployed }) => {
			const cut = await deployed.request().catch((error: unknown) => error);
			expect(cut).toBeInstanceOf(CutError);
			const record = await deployed.record({ id: (cut as CutError).invocationId as string });
			expect(record).toMatchObject({ outcome: "response_too_large", streamed: { bytes: MIB } });
		},
	},
	"process.exit": { heldBy: ["life of a sandbox"], fixture: "exits.ts", isContained: isCrashed() },
	"SIGKILL to itself": { heldBy: ["life of a sandbox"], fixture: "kills-itself.py", isContained: isCrashed() },
	segfault: {
		heldBy: ["rlimits"],
		fixture: "segfault.py",
		isContained: async (attacker) => {
			expect(await attacker.report()).toEqual({ signal: 11, dumped: false, cores: [] });
			await isCrashed({ itself: true })(attacker);
		},
	},
};

/** @throws Error when it isn't ended at its deadline, with everything of it */
export async function isTimedOut({ attack, isGone, servesOn }: Attacker): Promise<void> {
	const { answer, record } = await attack({}, { timeoutMs: 1000 });
	expect(answer.outcome).toBe("timed_out");
	await isGone(record.sandbox);
	await servesOn();
}

/** By the cgroup's limit; a full heap by V8's, which is told from any other abort by how much memory there was in use. */
function endsAs(...outcomes: readonly Outcome[]) {
	return async ({ attack, isGone, neighbour, servesOn }: Attacker): Promise<void> => {
		const waits = (await neighbour()).invoke({ ms: 300 });
		const { answer, record } = await attack();
		expect(outcomes, answer.problem?.detail).toContain(answer.outcome);
		// What a process takes while it is being killed is charged beyond the limit: a page was seen.
		expect(record.usage?.peakMemoryBytes ?? 0).toBeLessThan((LIMITS.memoryMiB.default + 1) * MIB);
		expect((await waits).outcome).toBe("succeeded");
		await isGone(record.sandbox);
		await servesOn();
	};
}

function isCrashed(ask = {}) {
	return async ({ attack, isGone, servesOn }: Attacker): Promise<void> => {
		const { answer, record } = await attack(ask);
		expect(answer.outcome).toBe("crashed");
		await isGone(record.sandbox);
		await servesOn();
	};
}
