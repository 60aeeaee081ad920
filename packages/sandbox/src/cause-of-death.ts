import { type FunctionError, MIB, type SandboxExit, type SandboxLimits, type SandboxProgram } from "@berth/contracts";
import type { Ending } from "./conversation.js";
import { heapBytes } from "./heap.js";

/** What is known about a sandbox that ended without an answer. */
export interface Evidence {
	readonly ending: Ending;
	/** Exit code of its container; undefined when only its connection is gone. */
	readonly exitCode: number | undefined;
	/** The kernel's count of what it killed in this cgroup for memory. */
	readonly oomKills: number;
	/** The most it ever had, as its cgroup kept it or as its end tells. */
	readonly peakMemoryBytes: number;
	readonly limits: SandboxLimits;
	readonly program: SandboxProgram;
	/** Whether a part of its answer had come. */
	readonly streamed: boolean;
}

export interface CauseOfDeath {
	readonly outcome: "out_of_memory" | "crashed";
	readonly error: FunctionError;
}

/** Of Node's resident set: its binary and libraries, which are everybody's. 40 to 46 MiB of Node 22 and 24. */
const SHARED_FILES_BYTES = 40 * MIB;

/** The most memory of its own that a process had, where no cgroup counted it: its resident set without Node's files. */
export function ownMemoryOf(exit: Pick<SandboxExit, "maxResidentBytes"> | undefined): number {
	return Math.max(0, (exit?.maxResidentBytes ?? 0) - SHARED_FILES_BYTES);
}

/** What V8 does when its heap is full: abort(3), or a trap where it was built so. */
const ABORT_CODES: ReadonlySet<number | undefined> = new Set([128 + 6, 128 + 5, 128 + 4]);

/**
 * Why a sandbox died, by evidence and in this order: the kernel's count of kills for memory; an abort
 * with as much memory in use as V8's heap may have; a broken protocol; its exit code.
 */
export function causeOfDeath({ ending, exitCode, oomKills, peakMemoryBytes, limits, program, streamed }: Evidence): CauseOfDeath {
	const code = exitCode ?? ending.code;
	const limitMiB = Math.round(limits.memoryBytes / MIB);
	if (oomKills > 0) return outOfMemory(`the kernel ended it at its memory limit of ${limitMiB} MiB`);
	if (program.language === "node" && ABORT_CODES.has(code) && peakMemoryBytes >= heapBytes(program)) {
		return outOfMemory(`V8 ended it with its heap full (${program.oldSpaceMiB} MiB of ${limitMiB} MiB are for the heap)`);
	}
	if (ending.violation !== undefined)
		return crashed("ProtocolError", `the sandbox broke the agent's protocol: ${ending.violation.message}`);
	return crashed("ProcessExit", `its process ${exitText(code)} before ${streamed ? "its answer was whole" : "it answered"}`);
}

function outOfMemory(message: string): CauseOfDeath {
	return { outcome: "out_of_memory", error: { name: "OutOfMemory", message } };
}

function crashed(name: string, message: string): CauseOfDeath {
	return { outcome: "crashed", error: { name, message } };
}

function exitText(code: number | undefined): string {
	if (code === undefined) return "closed its connection";
	return code > 128 ? `was ended by signal ${code - 128}` : `exited with code ${code}`;
}
