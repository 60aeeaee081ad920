import type { Weakenings } from "../weakening.js";

const SPEC = "packages/sandbox/src/container-spec.ts";
const CGROUP = "packages/launcher/src/cgroup.ts";
const FILES = "packages/launcher/src/sandbox-files.ts";

/** What a sandbox may use, and how long. */
export const limits = {
	rlimits: {
		takes: "the resource limits: they are as high as may be",
		edits: [
			[SPEC, "hard: FIXED_LIMITS.openFiles, soft: FIXED_LIMITS.openFiles", "hard: 4096, soft: 4096"],
			[SPEC, '{ type: "RLIMIT_CORE", hard: 0, soft: 0 }', '{ type: "RLIMIT_CORE", hard: 2 ** 40, soft: 2 ** 40 }'],
			[SPEC, '{ type: "RLIMIT_MSGQUEUE", hard: 0, soft: 0 }', '{ type: "RLIMIT_MSGQUEUE", hard: 819200, soft: 819200 }'],
		],
	},
	"cgroup cpu": {
		takes: "the CPU's quota, of the container and of the launcher",
		edits: [
			[SPEC, ", quota: cpuQuotaUs(limits.cpuMilli), period: CPU_PERIOD_US }", " }"],
			[CGROUP, "if (limits.cpuMilli !== before.cpuMilli) this.#limitCpu(sandbox, limits.cpuMilli);", ""],
		],
	},
	"cgroup memory": {
		takes: "the cgroup's limit of memory; so that the machine is spared, Python gets 1 GiB of address space",
		edits: [
			[SPEC, 'memory: { limit: limits.memoryBytes, ...(enforces("swap") ? { swap: limits.memoryBytes } : {}) },', ""],
			[CGROUP, "if (limits.memoryBytes !== before.memoryBytes) this.#limitMemory(sandbox, limits.memoryBytes, before.memoryBytes);", ""],
			[
				SPEC,
				"rlimits: RLIMITS,",
				'rlimits: boot.program.language === "python" ? [...RLIMITS, { type: "RLIMIT_AS", hard: 2 ** 30, soft: 2 ** 30 }] : RLIMITS,',
			],
		],
	},
	"heap size": {
		takes: "the size of V8's heap: it is 1 GiB",
		edits: [[SPEC, "`--max-old-space-size=${program.oldSpaceMiB}`,", '"--max-old-space-size=1024",']],
	},
	"cgroup pids": {
		takes: "the cap of 64 tasks, of builds 128: it is 1,024, which spares the machine",
		edits: [
			[SPEC, "{ pids: { limit: hostTasksOf(boot) } }", "{ pids: { limit: 1024 } }"],
			[CGROUP, 'if (this.#capsTasks && limits.pids !== before.pids) this.#write("pids", sandbox, "pids.max", limits.pids);', ""],
		],
	},
	"tmpfs size": {
		takes: "the size of /tmp: it is four times as large",
		edits: [
			[FILES, "MS.remount | tmpFlags, `size=${tmpfsBytes},", "MS.remount | tmpFlags, `size=${4 * tmpfsBytes},"],
			[FILES, "return `size=${tmpfsBytes},", "return `size=${4 * tmpfsBytes},"],
		],
	},
	"tmpfs inodes": {
		takes: "the cap of inodes of /tmp",
		edits: [
			[FILES, "nr_inodes=${tmpfsInodes}`);", "nr_inodes=100000`);"],
			[FILES, "nr_inodes=${tmpfsInodes},mode", "nr_inodes=100000,mode"],
		],
	},
	"log cap": {
		takes: "the cap of a log: it is eight times as high",
		edits: [["packages/contracts/src/limits.ts", "logBytes: MIB,", "logBytes: 8 * MIB,"]],
	},
	"response cap": {
		takes: "the cap of a response: it is four times as high",
		edits: [["packages/contracts/src/limits.ts", "bodyBytes: 6 * MIB,", "bodyBytes: 24 * MIB,"]],
	},
	"stream cap": {
		takes: "the cap of a stream: it is four times as high",
		edits: [["packages/worker/src/streams/attempt-streams.ts", "this.maxBytes = maxBytes;", "this.maxBytes = 4 * maxBytes;"]],
	},
	deadline: {
		takes: "the deadline: what runs on runs on",
		neverEnds: true,
		edits: [["packages/sandbox/src/attempt.ts", "await within(answered, head.timeoutMs);", "await answered;"]],
	},
	"start budget": {
		takes: "the budget of a start",
		neverEnds: true,
		edits: [["packages/sandbox/src/sandbox.ts", "const reply = await within(asked, startMs);", "const reply = await asked;"]],
	},
} as const satisfies Weakenings;
