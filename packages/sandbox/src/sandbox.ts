import {
	AGENT_BOUNDS,
	type AnswerHead,
	type Base,
	type BootRequest,
	BUILD_BOUNDS,
	type FailedHead,
	FROM_AGENT,
	type Frame,
	type FunctionError,
	type ImageReference,
	type InvokeHead,
	type LimitHit,
	type Manifest,
	type MemoryClass,
	MIB,
	newId,
	type Outcome,
	SANDBOX_PATHS,
	type SandboxKind,
	type SandboxLimits,
	type SandboxState,
	type SpecialisedHead,
	type SpecialiseHead,
	TO_AGENT,
	type Usage,
} from "@berth/contracts";
import { AgentLink } from "./agent-link.js";
import { CgroupReader } from "./cgroup-reader.js";
import type { SandboxEngine } from "./engine.js";
import { type HeapFlags, heapBytes, heapOf } from "./heap.js";
import { type Log, LogReader } from "./log-reader.js";
import { moved } from "./states.js";

/** Which prewarmed sandboxes can become what: everything that is fixed when Node boots. */
export interface BootKey {
	readonly kind: SandboxKind;
	readonly base: Base;
	readonly memoryClass: MemoryClass;
}

/** A version as a sandbox needs it. */
export interface Specialisation {
	/** Names the version in the pool: `project/function:7`. */
	readonly key: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly image: ImageReference;
	readonly manifest: Manifest;
}

/** How an attempt ended inside the sandbox. */
export interface SandboxResult {
	readonly outcome: Outcome;
	readonly runMs: number;
	readonly answer?: { readonly head: AnswerHead; readonly body: Uint8Array };
	readonly error?: FunctionError;
	readonly usage: Usage;
	readonly limitsHit: readonly LimitHit[];
	readonly log: Log;
	/** Whether the sandbox may serve another invocation. */
	readonly healthy: boolean;
}

/** A specialisation that failed: by the function's fault (a value of the attempt) or by ours. */
export class SpecialiseError extends Error {
	override readonly name = "SpecialiseError";
	readonly outcome: "init_error" | "out_of_memory" | "crashed" | "platform_error";
	readonly error: FunctionError;
	readonly log: Log;

	constructor(outcome: SpecialiseError["outcome"], error: FunctionError, log: Log = { lines: [], truncated: false }) {
		super(error.message);
		this.outcome = outcome;
		this.error = error;
		this.log = log;
	}
}

interface Ending {
	readonly violation?: Error;
	readonly code?: number;
}

/** Tasks of a sandbox that runs nothing of its own: init, and Node's threads at rest. */
const SIGABRT_CODE = 128 + 6;
/** Scratch is read from memory.stat, which the kernel has to add up: at most this often. */
const SCRATCH_SAMPLE_MS = 50;
const NO_LOG: Log = { lines: [], truncated: false };

/** One sandbox: its container, its agent, its cgroup, and the state it is in. */
export class Sandbox {
	readonly id = newId("sb");
	readonly bornAtMs = performance.now();
	readonly bootKey: BootKey;
	readonly #engine: SandboxEngine;
	readonly #heap: HeapFlags;
	#state: SandboxState = "booting";
	#limits: SandboxLimits;
	#link: AgentLink | undefined;
	#logs: LogReader | undefined;
	#cgroup: CgroupReader | undefined;
	#specialisation: Specialisation | undefined;
	#ending = Promise.withResolvers<Ending>();
	#ended: Ending | undefined;
	#exitCode: number | undefined;
	#inbox: ((frame: Frame) => void) | undefined;
	#restingTasks = 0;
	#scratch = { atMs: Number.NEGATIVE_INFINITY, bytes: 0 };
	#killed = false;
	/** Attempts it has served. */
	invocations = 0;
	/** When it last became idle. */
	idleSinceMs = performance.now();
	/** Resolves when the promises of the last invocation's `waitUntil` are through. */
	settled: Promise<void> = Promise.resolve();
	#settle: () => void = () => undefined;

	constructor(engine: SandboxEngine, bootKey: BootKey, limits: SandboxLimits) {
		this.#engine = engine;
		this.bootKey = bootKey;
		this.#heap = heapOf(bootKey.memoryClass);
		this.#limits = limits;
	}

	get state(): SandboxState {
		return this.#state;
	}

	move(to: SandboxState): void {
		this.#state = moved(this.#state, to);
	}

	get specialisation(): Specialisation | undefined {
		return this.#specialisation;
	}

	get limits(): SandboxLimits {
		return this.#limits;
	}

	/** Resolves when its agent or its container is gone, whatever the reason. */
	get ending(): Promise<Ending> {
		return this.#ending.promise;
	}

	/** Starts the container and waits for its agent. @throws Error when it can't be had in time */
	async boot(socketPath: string, startMs: number): Promise<void> {
		const bounds = this.bootKey.kind === "build" ? BUILD_BOUNDS : AGENT_BOUNDS;
		this.#link = await AgentLink.listen(socketPath, bounds);
		const hello = this.#next(FROM_AGENT.hello);
		this.#link.listenTo(
			(frame) => this.#receive(frame),
			(violation) => this.#end(violation === undefined ? {} : { violation }),
		);
		const booted = await this.#engine.boot(this.#bootRequest());
		this.#logs = new LogReader(booted.stdout, booted.stderr);
		this.#cgroup = new CgroupReader(booted.cgroup);
		this.#logs.begin();
		await this.#within(hello, startMs, "its agent to say hello");
	}

	/** Touches what a first invocation would otherwise pay for. */
	async preload(startMs: number): Promise<void> {
		const done = this.#next(FROM_AGENT.preloaded);
		this.#link?.send(TO_AGENT.preload, {});
		await this.#within(done, startMs, "its agent to preload");
		this.#restingTasks = this.#cgroup?.tasks() ?? 0;
	}

	/**
	 * Makes it a sandbox of one version: layers, limits, environment, module. @returns milliseconds
	 * the module took to load. @throws SpecialiseError
	 */
	async specialise(target: Specialisation, limits: SandboxLimits, startMs: number): Promise<number> {
		this.#specialisation = target;
		this.#logs?.begin();
		try {
			await this.#engine.specialise({ sandbox: this.id, layers: target.image.layers.map(({ digest }) => digest), limits });
		} catch (error) {
			throw new SpecialiseError("platform_error", { name: "Error", message: (error as Error).message });
		}
		this.#limits = limits;
		const head: SpecialiseHead = {
			entry: `${SANDBOX_PATHS.code}/${target.image.entry}`,
			project: target.project,
			function: target.function,
			version: target.version,
			env: target.manifest.env,
		};
		const reply = this.#next(FROM_AGENT.specialised);
		this.#link?.send(TO_AGENT.specialise, head);
		const outcome = await raceTimeout(reply, startMs);
		if (outcome === undefined) {
			await this.kill();
			const message = `the module didn't finish loading within the start budget of ${startMs} ms`;
			throw new SpecialiseError("init_error", { name: "TimeoutError", message }, await this.#logged());
		}
		if ("ended" in outcome) throw await this.#initFailure();
		if (outcome.frame.type === FROM_AGENT.failed) throw await this.#specialiseFailure(outcome.frame.head as FailedHead);
		return Math.max(0, Number((outcome.frame.head as SpecialisedHead).initMs) || 0);
	}

	/** Runs one attempt. Never rejects for what the function does. */
	async invoke(head: InvokeHead, body: Uint8Array): Promise<SandboxResult> {
		const cgroup = this.#cgroup as CgroupReader;
		this.invocations++;
		this.#logs?.begin();
		const before = { cpuUs: cgroup.cpuUs(), pidsRefused: cgroup.pidsRefused() };
		const startedAt = performance.now();
		const reply = this.#next(FROM_AGENT.answer);
		const settled = Promise.withResolvers<void>();
		this.settled = settled.promise;
		this.#settle = settled.resolve;
		this.#link?.send(TO_AGENT.invoke, head, body);
		const outcome = await raceTimeout(reply, head.timeoutMs);
		if (outcome === undefined || "ended" in outcome) await this.kill();
		const runMs = performance.now() - startedAt;
		const log = (await this.#logs?.end()) ?? NO_LOG;
		const usage = this.#usage(before.cpuUs);
		const limitsHit = this.#limitsHit(before.pidsRefused, log);
		const base = { runMs, usage, limitsHit, log };
		if (outcome === undefined) {
			settled.resolve();
			return { ...base, outcome: "timed_out", error: timeoutError(head.timeoutMs), healthy: false };
		}
		if ("ended" in outcome) {
			settled.resolve();
			return { ...base, ...this.#causeOfDeath(outcome.ended), healthy: false };
		}
		return { ...base, ...this.#judge(outcome.frame, head, limitsHit) };
	}

	cancel(id: string): void {
		this.#link?.send(TO_AGENT.cancel, { id });
	}

	async freeze(): Promise<void> {
		await this.#engine.freeze(this.id);
	}

	async thaw(): Promise<void> {
		await this.#engine.thaw(this.id);
	}

	async wipe(): Promise<void> {
		await this.#engine.wipe(this.id);
	}

	memoryBytes(): number {
		return this.#killed || this.#cgroup === undefined ? 0 : this.#cgroup.memoryBytes();
	}

	/** Whether something of the function still runs beside init and Node: such a sandbox isn't kept. */
	hasStrays(processes: number): boolean {
		return this.#restingTasks > 0 && (this.#cgroup?.tasks() ?? 0) > this.#restingTasks + processes;
	}

	/** Ends everything in it; resolves when nothing runs any more. */
	async kill(): Promise<void> {
		this.#killed = true;
		await this.#engine.kill(this.id);
	}

	/** Kills it and releases everything that is held for it, here and in the engine. */
	async remove(): Promise<void> {
		this.#killed = true;
		this.#link?.close();
		this.#logs?.close();
		this.#cgroup?.close();
		this.#cgroup = undefined;
		this.#settle();
		await this.#engine.remove(this.id);
	}

	/** The engine's word that its container ended. */
	exited(code: number): void {
		this.#exitCode = code;
		this.#end({ code });
	}

	#bootRequest(): BootRequest {
		return {
			sandbox: this.id,
			base: this.bootKey.base.layers.map(({ digest }) => digest),
			kind: this.bootKey.kind,
			oldSpaceMiB: this.#heap.oldSpaceMiB,
			semiSpaceMiB: this.#heap.semiSpaceMiB,
			limits: this.#limits,
		};
	}

	#receive(frame: Frame): void {
		if (frame.type === FROM_AGENT.settled) {
			this.#settle();
			return;
		}
		const inbox = this.#inbox;
		if (inbox === undefined) {
			// Nobody asked: the tenant speaks out of turn.
			this.#link?.close();
			this.#end({ violation: new Error(`a frame of type ${frame.type} that nobody asked for`) });
			return;
		}
		this.#inbox = undefined;
		inbox(frame);
	}

	/** The next frame, which has to be of that type or `failed`, or the end of the sandbox. */
	#next(type: number): Promise<{ readonly frame: Frame } | { readonly ended: Ending }> {
		const frame = new Promise<{ readonly frame: Frame } | { readonly ended: Ending }>((resolve) => {
			this.#inbox = (received) => {
				if (received.type === type || received.type === FROM_AGENT.failed) {
					resolve({ frame: received });
					return;
				}
				this.#link?.close();
				const violation = new Error(`a frame of type ${received.type} where ${type} was due`);
				this.#end({ violation });
				resolve({ ended: { violation } });
			};
			if (this.#ended === undefined) this.#onEnded = (ended) => resolve({ ended });
			else resolve({ ended: this.#ended });
		});
		return frame;
	}

	#onEnded: (ending: Ending) => void = () => undefined;

	#end(ending: Ending): void {
		if (this.#ended !== undefined) return;
		this.#ended = ending;
		this.#onEnded(ending);
		this.#ending.resolve(ending);
		this.#settle();
	}

	async #within(reply: Promise<{ readonly frame: Frame } | { readonly ended: Ending }>, timeoutMs: number, what: string): Promise<void> {
		const outcome = await raceTimeout(reply, timeoutMs);
		if (outcome === undefined) throw new Error(`${this.id}: waited ${timeoutMs} ms for ${what}`);
		if ("ended" in outcome || outcome.frame.type === FROM_AGENT.failed) {
			const { lines } = await this.#logged();
			const said = lines
				.map(({ text }) => text)
				.slice(-5)
				.join(" | ");
			throw new Error(`${this.id} ended while we waited for ${what}${said === "" ? "" : `; it said: ${said}`}`);
		}
	}

	async #logged(): Promise<Log> {
		return (await this.#logs?.end()) ?? NO_LOG;
	}

	async #initFailure(): Promise<SpecialiseError> {
		await this.kill();
		const log = await this.#logged();
		const { outcome, error } = this.#causeOfDeath(this.#ended ?? {});
		if (outcome === "out_of_memory") return new SpecialiseError("out_of_memory", error, log);
		return new SpecialiseError("init_error", { name: error.name, message: `while the module was loaded: ${error.message}` }, log);
	}

	async #specialiseFailure(head: FailedHead): Promise<SpecialiseError> {
		const log = await this.#logged();
		if (head.phase === "graft")
			return new SpecialiseError(
				"platform_error",
				{ name: "Error", message: `${this.id}: the graft didn't arrive: ${head.error.message}` },
				log,
			);
		return new SpecialiseError("init_error", head.error, log);
	}

	/** An answer is the tenant's word: it counts only for the attempt in hand. */
	#judge(frame: Frame, asked: InvokeHead, limitsHit: readonly LimitHit[]): Pick<SandboxResult, "outcome" | "answer" | "error" | "healthy"> {
		const head = frame.head as Partial<AnswerHead> & Partial<FailedHead>;
		if (head.id !== asked.id) {
			this.#settle();
			return {
				outcome: "crashed",
				error: { name: "ProtocolError", message: "the sandbox answered another invocation than its own" },
				healthy: false,
			};
		}
		const healthy = !limitsHit.includes("memory") && this.#ended === undefined;
		if (frame.type === FROM_AGENT.answer) {
			if (head.waiting !== true) this.#settle();
			return { outcome: "succeeded", answer: { head: head as AnswerHead, body: frame.body }, healthy };
		}
		this.#settle();
		const error = head.error ?? { name: "Error", message: "the handler failed" };
		return { outcome: head.phase === "too_large" ? "response_too_large" : "handler_error", error, healthy };
	}

	/**
	 * Why a sandbox died, by evidence: the kernel's count of kills for memory; an abort with V8's heap
	 * full; otherwise its exit code.
	 */
	#causeOfDeath(ending: Ending): { readonly outcome: "out_of_memory" | "crashed"; readonly error: FunctionError } {
		const cgroup = this.#cgroup;
		const code = this.#exitCode ?? ending.code;
		const limitMiB = Math.round(this.#limits.memoryBytes / MIB);
		if (cgroup !== undefined && cgroup.oomKills() > 0) {
			return {
				outcome: "out_of_memory",
				error: { name: "OutOfMemory", message: `the kernel ended it at its memory limit of ${limitMiB} MiB` },
			};
		}
		if (code === SIGABRT_CODE && cgroup !== undefined && cgroup.peakMemoryBytes() >= heapBytes(this.#heap)) {
			const message = `V8 ended it with its heap full (${this.#heap.oldSpaceMiB} MiB of ${limitMiB} MiB are for the heap)`;
			return { outcome: "out_of_memory", error: { name: "OutOfMemory", message } };
		}
		if (ending.violation !== undefined) {
			return {
				outcome: "crashed",
				error: { name: "ProtocolError", message: `the sandbox broke the agent's protocol: ${ending.violation.message}` },
			};
		}
		return { outcome: "crashed", error: { name: "ProcessExit", message: `its process ${exitText(code)} before it answered` } };
	}

	#usage(cpuBeforeUs: number): Usage {
		const cgroup = this.#cgroup;
		if (cgroup === undefined) return { cpuMs: 0, peakMemoryBytes: 0, scratchBytes: 0 };
		const now = performance.now();
		if (now - this.#scratch.atMs > SCRATCH_SAMPLE_MS) this.#scratch = { atMs: now, bytes: cgroup.scratchBytes() };
		return {
			cpuMs: Math.max(0, cgroup.cpuUs() - cpuBeforeUs) / 1000,
			peakMemoryBytes: cgroup.peakMemoryBytes(),
			scratchBytes: this.#scratch.bytes,
		};
	}

	#limitsHit(pidsRefusedBefore: number, log: Log): readonly LimitHit[] {
		const hits: LimitHit[] = [];
		const cgroup = this.#cgroup;
		if (cgroup !== undefined) {
			if (cgroup.pidsRefused() > pidsRefusedBefore) hits.push("pids");
			if (cgroup.oomKills() > 0) hits.push("memory");
			if (this.#scratch.bytes >= this.#limits.tmpfsBytes) hits.push("scratch");
		}
		if (log.truncated) hits.push("log");
		return hits;
	}
}

/** The value, or undefined when the time is over first. */
async function raceTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
	let timer: NodeJS.Timeout | undefined;
	const timeout = new Promise<undefined>((resolve) => {
		timer = setTimeout(resolve, timeoutMs, undefined);
	});
	try {
		return await Promise.race([promise, timeout]);
	} finally {
		clearTimeout(timer);
	}
}

function timeoutError(timeoutMs: number): FunctionError {
	return { name: "TimeoutError", message: `it didn't answer within ${timeoutMs} ms and was killed` };
}

function exitText(code: number | undefined): string {
	if (code === undefined) return "closed its connection";
	return code > 128 ? `was ended by signal ${code - 128}` : `exited with code ${code}`;
}
