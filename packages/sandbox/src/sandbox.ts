import {
	AGENT_BOUNDS,
	BerthError,
	BUILD_BOUNDS,
	BUILD_QUESTIONS,
	type Digest,
	FROM_AGENT,
	INVOKE_QUESTIONS,
	type InvokeHead,
	newId,
	type SandboxExit,
	type SandboxLimits,
	type SandboxProgram,
	type SandboxState,
	TO_AGENT,
} from "@berth/contracts";
import { initMsIn, streamsIn } from "./agent-words.js";
import { attemptIn } from "./attempt.js";
import { Body } from "./body.js";
import { type BootKey, programOf } from "./boot-key.js";
import type { CauseOfDeath } from "./cause-of-death.js";
import { Compaction } from "./compaction.js";
import { Conversation, type Reply, type Respond } from "./conversation.js";
import type { CpuShares } from "./cpu-shares.js";
import type { EgressRefusals } from "./egress-refusals.js";
import type { SandboxEngine } from "./engine.js";
import { type LineListener, NO_LOG } from "./log-reader.js";
import { bootOrder, graftOrder, specialiseHead, trustedBy } from "./orders.js";
import { errorShown, Redactor } from "./redactor.js";
import type { SandboxResult } from "./sandbox-result.js";
import { SpecialiseError } from "./specialise-error.js";
import { moved } from "./states.js";
import type { Streams } from "./streams.js";
import { initFailureOf } from "./verdict.js";
import type { Specialisation } from "./version-target.js";
import { within } from "./within.js";

/** How far the end of a sandbox's connection and that of its container may be apart: each says something that the other doesn't. Milliseconds. */
const LAST_WORDS_MS = 100;

/** One sandbox: its container, its agent, its cgroup, and the state it is in. */
export class Sandbox {
	readonly id = newId("sb");
	readonly bornAtMs = performance.now();
	readonly bootKey: BootKey;
	readonly #engine: SandboxEngine;
	readonly #shares: CpuShares;
	readonly #program: SandboxProgram;
	readonly #exit = Promise.withResolvers<void>();
	readonly #gone = Promise.withResolvers<void>();
	#exited: Omit<SandboxExit, "sandbox"> | undefined;
	#state: SandboxState = "booting";
	#limits: SandboxLimits;
	#body: Body | undefined;
	#talk: Conversation | undefined;
	#specialisation: Specialisation | undefined;
	#address: string | undefined;
	#removed = false;
	#killed = false;
	#preloaded = false;
	#thawing: Promise<void> | undefined;
	#takesBody = false;
	readonly #compaction = new Compaction();
	/** Attempts it has served. */
	invocations = 0;
	/** The invocation that it runs, or ran last, and how many that one came of. */
	invocation = "";
	depth = 0;
	/** Told of each line of the next invocation, also after its answer. */
	onLine: LineListener | undefined;
	/** When it last became idle. */
	idleSinceMs = performance.now();
	/** Pending while promises of the last invocation's `waitUntil` are open. */
	settled: Promise<void> | undefined;

	constructor(engine: SandboxEngine, shares: CpuShares, bootKey: BootKey, limits: SandboxLimits) {
		this.#shares = shares;
		this.#engine = engine;
		this.bootKey = bootKey;
		this.#program = programOf(bootKey);
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

	/** What it is known by to the worker, where that listens for it. */
	get address(): string | undefined {
		return this.#address;
	}

	get limits(): SandboxLimits {
		return this.#limits;
	}

	/** Resolves when its agent or its container is gone, whatever the reason. */
	get gone(): Promise<void> {
		return this.#gone.promise;
	}

	/** Starts the container and waits for its agent. @throws Error when it can't be had in time */
	async boot(socketPath: string, startMs: number): Promise<void> {
		const bounds =
			this.bootKey.kind === "function" ? ([AGENT_BOUNDS, INVOKE_QUESTIONS] as const) : ([BUILD_BOUNDS, BUILD_QUESTIONS] as const);
		const talk = await Conversation.open(socketPath, ...bounds);
		this.#talk = talk;
		// While its layers came, or just now: nobody would remove what was started after that.
		if (this.#killed || this.#removed) {
			talk.end({});
			throw new Error(`${this.id} was ${this.#removed ? "removed" : "killed"} before it was booted`);
		}
		void talk.ending.then(() => this.#gone.resolve());
		const hello = talk.hear(FROM_AGENT.hello);
		const booted = await this.#engine.boot(bootOrder(this.id, this.bootKey, this.#program, this.#limits, this.#shares.spared.isSpared));
		this.#address = booted.address;
		const body = new Body(talk, booted, this.#shares);
		this.#body = body;
		body.logs.begin();
		await this.#await(hello, startMs, "its agent to say hello");
		body.rests();
	}

	/** Touches what a first invocation would otherwise pay for. */
	async preload(startMs: number): Promise<void> {
		await this.#await(this.#alive().talk.ask(TO_AGENT.preload, FROM_AGENT.preloaded, {}), startMs, "its agent to preload");
		this.#preloaded = true;
	}

	/** Whether its function takes a request's body in pieces. */
	get takesBody(): boolean {
		return this.#takesBody;
	}

	get preloaded(): boolean {
		return this.#preloaded;
	}

	/**
	 * Makes it a sandbox of one version: layers, limits, environment, module. One that was booted with its layers
	 * has its limits, too. @returns milliseconds the module took to load. @throws SpecialiseError
	 */
	async specialise(target: Specialisation, limits: SandboxLimits, startMs: number): Promise<number> {
		const { talk, logs, claim } = this.#alive();
		this.#specialisation = target;
		logs.redactor = Redactor.of(target.secrets?.values);
		const outputMark = logs.begin();
		try {
			if (this.bootKey.own === undefined) {
				const { address } = await this.#engine.specialise(graftOrder(this.id, target, limits));
				this.#address = address;
				this.#limits = limits;
			}
		} catch (error) {
			if (error instanceof BerthError) throw error;
			throw new SpecialiseError("platform_error", { name: "Error", message: (error as Error).message });
		}
		const askedAt = performance.now();
		// What is computed while it loads counts like any other run.
		claim?.loads(target.project);
		const asked = talk.ask(TO_AGENT.specialise, FROM_AGENT.specialised, specialiseHead(target, outputMark), trustedBy(target));
		const reply = await within(asked, startMs);
		claim?.rest();
		if (reply === undefined || "ended" in reply || reply.frame.type === FROM_AGENT.failed) {
			const death = await this.deathOf(reply);
			throw initFailureOf(this.id, reply, death, await logs.end(), startMs, (error) => errorShown(logs.redactor, error));
		}
		this.#takesBody = streamsIn(reply.frame.head);
		return initMsIn(reply.frame.head, performance.now() - askedAt);
	}

	/** Grafts layers into a build sandbox, which stays what it is. @throws Error of the engine's */
	async graft(layers: readonly Digest[]): Promise<void> {
		await this.#engine.specialise({ sandbox: this.id, layers, limits: this.#limits, network: "none" });
	}

	/** Runs one attempt. Never rejects for what the function does. @param respond answers what its agent asks meanwhile */
	async invoke(head: InvokeHead, payload: Uint8Array, respond?: Respond, streams?: Streams): Promise<SandboxResult> {
		const body = this.#alive();
		this.invocations++;
		this.settled = undefined;
		if (this.#thawing !== undefined) await this.#thawing;
		const compacts = this.#program.language === "node" && this.#compaction.asks(performance.now() - this.idleSinceMs);
		const asked = compacts ? { ...head, compact: true as const } : head;
		const result = await attemptIn(body, { head: asked, payload, respond, streams }, this);
		// Nobody else's output is read before.
		this.settled = result.after?.then(() => body.claim?.rest());
		if (result.after === undefined) body.claim?.rest();
		return result.error === undefined ? result : { ...result, error: errorShown(body.logs.redactor, result.error) };
	}

	/** Tells the handler that nobody waits for it any more: its signal aborts. */
	cancel(id: string): void {
		this.#talk?.tell(TO_AGENT.cancel, { id });
	}

	/** Whether it isn't to be frozen yet: a request may follow closely, or its agent compacts its heap. @param idleMs since its last invocation */
	staysAwake(idleMs: number): boolean {
		return this.#compaction.leavesAwake(idleMs, () => this.#alive().cgroup.cpuUs());
	}

	/** @returns what there is to wait for, if anything; it rejects when it can't be frozen */
	freeze(): Promise<void> | undefined {
		this.#compaction.rested();
		return this.#alive().freezer.freeze();
	}

	/** Awake at once, or by its next invocation. */
	thaw(): void {
		this.#thawing = this.#alive().freezer.thaw();
		// Whoever invokes it hears of it.
		this.#thawing?.catch(() => undefined);
	}

	/** What it asks of the world outside, and isn't given; undefined when it doesn't run. */
	get egress(): EgressRefusals | undefined {
		return this.#body?.egress;
	}

	/** Whether its agent or its container has ended, or is about to. */
	get hasEnded(): boolean {
		return this.#killed || this.#exited !== undefined || this.#talk?.ended !== undefined;
	}

	/** Whether it has booted and nobody uses it. */
	get isAtRest(): boolean {
		return this.#state === "prewarmed" || this.#state === "warm" || this.#state === "frozen";
	}

	/** Bytes that its cgroup is charged with; 0 before it runs and when it is being removed. */
	memoryBytes(): number {
		return this.#body === undefined || this.#removed ? 0 : this.#body.cgroup.memoryBytes();
	}

	/**
	 * Whether a process of the function's still runs beside init and the agent: such a sandbox isn't kept. How many processes
	 * a program of the function's own has is its affair: they all rest when it does.
	 */
	hasStrays(): boolean {
		return this.#program.language !== "custom" && (this.#body?.hasStrays() ?? true);
	}

	/**
	 * The same, for what can't be seen at its answer already: gVisor makes the host's process for one of its own when that runs first,
	 * a moment after it was started.
	 */
	hasLateStrays(): boolean {
		return this.bootKey.runtimeClass !== undefined && this.hasStrays();
	}

	/** Ends everything in it; resolves when nothing runs any more. @param isOver as engines have it */
	async kill(isOver = false): Promise<void> {
		this.#killed = true;
		await this.#engine.kill(this.id, isOver);
	}

	/** Kills it and releases everything that is held for it, here and in the engine. */
	async remove(): Promise<void> {
		this.#removed = true;
		this.#talk?.end({});
		try {
			await this.#engine.remove(this.id);
		} finally {
			this.#body?.close();
			this.#body = undefined;
		}
	}

	/** The engine's word that its container ended. It may be here before what its agent said last, and that counts: the connection ends behind it. */
	exited(exit: Omit<SandboxExit, "sandbox">): void {
		this.#exited = exit;
		this.#exit.resolve();
		this.#gone.resolve();
		const talk = this.#talk;
		if (talk !== undefined) void within(talk.ending, LAST_WORDS_MS).then(() => talk.end({ code: exit.code }));
	}

	#alive(): Body {
		if (this.#body === undefined || this.#removed) throw new Error(`${this.id} isn't running`);
		return this.#body;
	}

	async #await(awaited: Promise<Reply>, timeoutMs: number, what: string): Promise<void> {
		const reply = await within(awaited, timeoutMs);
		if (reply === undefined) throw new Error(`${this.id}: waited ${timeoutMs} ms for ${what}`);
		if (!("ended" in reply) && reply.frame.type !== FROM_AGENT.failed) return;
		const { lines } = (await this.#body?.logs.end()) ?? NO_LOG;
		const said = lines.map(({ text }) => text).slice(-5);
		throw new Error(`${this.id} ended while we waited for ${what}${said.length === 0 ? "" : `; it said: ${said.join(" | ")}`}`);
	}

	/** Kills what didn't answer, and finds out why. @returns undefined when it did answer, or when only its time was over */
	async deathOf(reply: Reply | undefined, streamed = false): Promise<CauseOfDeath | undefined> {
		if (reply !== undefined && !("ended" in reply)) return undefined;
		const body = this.#alive();
		body.remember();
		const isOver = reply !== undefined && reply.ended.violation === undefined;
		if (isOver) await within(this.#exit.promise, LAST_WORDS_MS);
		await this.kill(isOver);
		return reply === undefined ? undefined : body.causeOf(reply.ended, this.#exited, this.#limits, this.#program, streamed);
	}
}
