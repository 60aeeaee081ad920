import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { MIB } from "@berth/contracts";
import { cpuTicksOf, memoryLimitOf, standsStill } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import type { Traits } from "./engines.js";
import type { TestNode } from "./node.js";
import { answerOf } from "./sandboxes.js";

/** What every engine does: tried, and told as a value that says all of it, so that it can be tried in another machine than the one that judges. */
export interface Promised {
	/** One word. */
	readonly key: string;
	readonly name: string;
	tried(node: TestNode): Promise<unknown>;
	/** What is to be seen. */
	expected(traits: Traits): unknown;
}

/** So long a sandbox that rests is looked at. */
const STILL_MS = 200;
const BURN_MS = 500;
const SCRATCH_MIB = 8;

/** Those whose sandboxes serve on, or end by themselves. */
const ATTEMPTS: readonly Promised[] = [
	{
		key: "start",
		name: "a function's first invocation has the start that the engine can give, the memory of its manifest, and an answer",
		async tried({ sandboxes, dataDir }) {
			const manifest = { memoryMiB: 512, env: { MARK: "mine" } };
			await sandboxes.readied(manifest);
			const lease = await sandboxes.acquire("sleeps", manifest);
			let limit = 0;
			const { start, result } = await sandboxes.attempt(lease, {}, sandboxes.patienceMs, () => {
				limit = memoryLimitOf(dataDir, lease.sandbox.id);
			});
			const { cpuMs, peakMemoryBytes } = result.usage;
			const measured = cpuMs > 0 && peakMemoryBytes > 10 * MIB;
			return { start, memoryMiB: limit / MIB, outcome: result.outcome, answer: answerOf(result), measured, limitsHit: result.limitsHit };
		},
		expected: ({ firstStart }) => ({
			...{ start: firstStart, memoryMiB: 512, outcome: "succeeded", answer: "mine", measured: true, limitsHit: [] },
		}),
	},
	{
		key: "reuse",
		name: "the next one has the same sandbox, with what it kept; with reuse `never` it has another",
		async tried({ sandboxes }) {
			const [once, other] = [await sandboxes.invoke("counts", {}, NEVER), await sandboxes.invoke("counts", {}, NEVER)];
			const [first, second] = [await sandboxes.invoke("counts", {}), await sandboxes.invoke("counts", {})];
			const fresh = new Set([once.sandbox, other.sandbox, first.sandbox]).size === 3;
			return { fresh, same: first.sandbox === second.sandbox, start: second.start, kept: answerOf(second.result) };
		},
		expected: () => ({ same: true, start: "warm", kept: { invocations: 2, fileWasThere: true }, fresh: true }),
	},
	{
		key: "several",
		name: "several at once have a sandbox each",
		async tried({ sandboxes }) {
			const leases = [await sandboxes.acquire("sleeps"), await sandboxes.acquire("sleeps"), await sandboxes.acquire("sleeps")];
			const all = await Promise.all(leases.map((lease) => sandboxes.attempt(lease, { ms: 1 })));
			return { sandboxes: new Set(all.map(({ sandbox }) => sandbox)).size, outcomes: all.map(({ result }) => result.outcome) };
		},
		expected: () => ({ sandboxes: 3, outcomes: ["succeeded", "succeeded", "succeeded"] }),
	},
	{
		key: "output",
		name: "what is printed is in the log of the invocation that runs, to the last word, and in no other",
		async tried({ sandboxes }) {
			const logs: (readonly string[])[] = [];
			for (const n of [1, 2, 3]) {
				const { result } = await sandboxes.invoke("prints", { n });
				logs.push(result.log.lines.map(({ stream, text }) => `${stream} ${text}`).toSorted());
			}
			return logs;
		},
		expected: () => [1, 2, 3].map((n) => [`stderr err ${n}`, `stdout out ${n}`]),
	},
	{
		key: "throws",
		name: "an error that is thrown is told, and its sandbox serves on",
		async tried({ sandboxes }) {
			const { sandbox, result } = await sandboxes.invoke("throws", { message: "no such order" });
			const again = await sandboxes.invoke("throws", {});
			return { outcome: result.outcome, error: `${result.error?.name}: ${result.error?.message}`, same: again.sandbox === sandbox };
		},
		expected: () => ({ outcome: "handler_error", error: "RangeError: no such order", same: true }),
	},
	{
		key: "load",
		name: "a function that doesn't load says why",
		tried: ({ sandboxes }) => sandboxes.refusal("throws-at-load"),
		expected: () => ({ outcome: "init_error", message: "no database" }),
	},
	{
		key: "exits",
		name: "a process that exits is told with its code, and nothing of it is left",
		async tried({ sandboxes }) {
			const { outcome, error } = await sandboxes.ending("exits", { how: "exit" });
			return { outcome, code: /exited with code (\d+)/.exec(error ?? "")?.[1] };
		},
		expected: () => ({ outcome: "crashed", code: "3" }),
	},
	{
		key: "deadline",
		name: "what blocks its agent is killed at its deadline, and nothing of it is left when that is told",
		async tried({ sandboxes }) {
			const { outcome, processes } = await sandboxes.ending("burns", { burn: true }, { timeoutMs: BURN_MS });
			return { outcome, processes };
		},
		expected: () => ({ outcome: "timed_out", processes: 0 }),
	},
	{
		key: "memory",
		name: "what needs more memory than it has is ended, and the limit is told as the cause",
		async tried({ sandboxes }) {
			const { outcome, limitsHit, error } = await sandboxes.ending("fills-buffers", { fill: true });
			return { outcome, limitsHit, limit: /memory limit of \d+ MiB/.exec(error ?? "")?.[0] };
		},
		expected: () => ({ outcome: "out_of_memory", limitsHit: ["memory"], limit: "memory limit of 256 MiB" }),
	},
	{
		key: "tasks",
		name: "a function has no more than its cap of tasks, and that is told",
		async tried({ sandboxes }) {
			const { outcome, limitsHit, answer } = await sandboxes.ending("stops-children", { start: true });
			return { outcome, limitsHit, code: (answer as { code: string } | undefined)?.code };
		},
		expected: ({ tooManyTasks }) =>
			tooManyTasks === "refused"
				? { outcome: "succeeded", limitsHit: ["pids"], code: "EAGAIN" }
				: { outcome: "crashed", limitsHit: ["pids"], code: undefined },
	},
	{
		key: "scratch",
		name: "/tmp is full at its own size, and that is told",
		async tried({ sandboxes }) {
			const { result } = await sandboxes.invoke("fills-scratch", { fill: true }, { tmpfsMiB: SCRATCH_MIB });
			const { code, written } = answerOf(result) as { code: string; written: number };
			const full = written <= SCRATCH_MIB * MIB && written > (SCRATCH_MIB - 1) * MIB;
			return { outcome: result.outcome, code, full, limitsHit: result.limitsHit, counted: result.usage.scratchBytes >= written };
		},
		expected: ({ countsScratch }) => ({
			...{ outcome: "succeeded", code: "ENOSPC", full: true, counted: countsScratch, limitsHit: countsScratch ? ["scratch"] : [] },
		}),
	},
	{
		key: "network",
		name: "it has no network but its own loopback",
		async tried({ sandboxes }) {
			const { interfaces } = answerOf((await sandboxes.invoke("looks-around", {})).result) as { interfaces: object };
			return Object.keys(interfaces);
		},
		expected: () => ["lo"],
	},
	{
		key: "strays",
		name: "a sandbox in which a process was left behind serves nobody else",
		async tried({ sandboxes }) {
			const { sandbox, result } = await sandboxes.invoke("leaves-process", {});
			await sandboxes.gone([sandbox]);
			return result.outcome;
		},
		expected: () => "succeeded",
	},
	{
		key: "rests",
		name: "a sandbox that rests uses no CPU time, and serves again",
		async tried({ sandboxes, dataDir }) {
			const { sandbox, result } = await sandboxes.invoke("leaves-timer", {});
			await sandboxes.frozen(sandbox);
			await eventually(() => {
				if (!standsStill(dataDir, sandbox)) throw new Error("something in it isn't frozen yet");
			}, sandboxes.patienceMs);
			const before = cpuTicksOf(dataDir, sandbox);
			await pause(STILL_MS);
			const ticks = cpuTicksOf(dataDir, sandbox) - before;
			const again = await sandboxes.invoke("leaves-timer", {});
			return { ticks, outcomes: [result.outcome, again.result.outcome], start: again.start, same: again.sandbox === sandbox };
		},
		expected: () => ({ ticks: 0, outcomes: ["succeeded", "succeeded"], start: "warm", same: true }),
	},
	{
		key: "cpus",
		name: "sandboxes leave one CPU to others while one is spared, those that come meanwhile, too, and have all of them after",
		async tried(node) {
			const { sandboxes } = node;
			const leftBy = (sandbox: string) => availableParallelism() - cpusOf(node.processesOf(sandbox));
			const { sandbox } = await sandboxes.invoke("sleeps", {});
			const left = [leftBy(sandbox)];
			sandboxes.pool.spareCpu(true);
			left.push(leftBy(sandbox));
			const lease = await sandboxes.acquire("sleeps", NEVER);
			left.push(leftBy(lease.sandbox.id));
			await sandboxes.attempt(lease, {});
			sandboxes.pool.spareCpu(false);
			left.push(leftBy(sandbox));
			return left;
		},
		expected: ({ leavesCpu }) => (leavesCpu ? [0, 1, 1, 0] : [0, 0, 0, 0]),
	},
	{
		key: "restkill",
		name: "a sandbox that rests is killed as it is",
		async tried(node) {
			const { sandboxes } = node;
			const { sandbox } = await sandboxes.invoke("leaves-timer", {});
			await sandboxes.frozen(sandbox);
			const before = node.processesOf(sandbox).length;
			await sandboxes.pool.kill(sandbox);
			await sandboxes.gone([sandbox]);
			return { were: before > 1, are: node.processesOf(sandbox).length };
		},
		expected: () => ({ were: true, are: 0 }),
	},
];

/** After all else: what drives the sandboxes is killed. */
const KILLED: Promised = {
	key: "killed",
	name: "nothing is left of what is killed with kill -9, whatever its sandboxes did, and who comes next serves",
	async tried(node) {
		const { made, had } = await node.killed();
		const still = (await node.made()).filter((each) => made.includes(each));
		const left = made.flatMap((each) => node.processesOf(each)).length;
		const { result } = await node.sandboxes.invoke("sleeps", {});
		return { had, still, left, next: result.outcome };
	},
	expected: () => ({ had: true, still: [], left: 0, next: "succeeded" }),
};

const DOWN: Promised = {
	key: "down",
	name: "nothing is left when it is down",
	tried: (node) => node.close(),
	expected: () => [],
};

/** In their order: the last one closes the node. */
export const PROMISES: readonly Promised[] = [...ATTEMPTS, KILLED, DOWN];

/** Names of the fixtures that they, and what is tried beside them, need. */
export const FUNCTIONS = [
	...["sleeps", "counts", "prints", "throws", "throws-at-load", "exits", "burns", "fills-buffers", "stops-children"],
	...["fills-scratch", "fills-in-child", "looks-around", "leaves-process", "leaves-timer"],
] as const;

/** On how many CPUs these may run: the most that one of them may. */
function cpusOf(pids: readonly string[]): number {
	const lists = pids.map((pid) => /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "");
	const counts = lists.map((list) => list.split(",").map((range) => range.split("-").map(Number)));
	return Math.max(...counts.map((ranges) => ranges.reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0)));
}

const NEVER = { reuse: "never" } as const;
