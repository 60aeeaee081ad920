import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import {
	AGENT_BOUNDS,
	type BootRequest,
	encodeFrame,
	FROM_AGENT,
	type Frame,
	FrameDecoder,
	type HostReport,
	type InvokeHead,
	type SandboxExit,
	type SpecialiseAnswer,
	type SpecialiseHead,
	type SpecialiseRequest,
	TO_AGENT,
} from "@berth/contracts";
import type { Booted, SandboxEngine } from "../engine.js";
import { FifoOutput } from "../fifo-output.js";
import { CgroupFreezer } from "../freezer.js";
import { Weight } from "../weight.js";
import { FakeCgroup } from "./fake-cgroup.js";

/** A sandbox without a container: an agent that answers over the real socket, and a directory for a cgroup. */
export class FakeAgent {
	readonly sandbox: string;
	readonly cgroup: FakeCgroup;
	readonly #engine: FakeEngine;
	readonly #socket: Socket;
	function: string | undefined;

	constructor(engine: FakeEngine, sandbox: string, socket: Socket, cgroup: FakeCgroup) {
		this.#engine = engine;
		this.sandbox = sandbox;
		this.#socket = socket;
		this.cgroup = cgroup;
		const decoder = new FrameDecoder(AGENT_BOUNDS);
		socket.on("data", (chunk: Buffer) => {
			for (const frame of decoder.push(chunk)) this.#take(frame);
		});
		// Whoever ends a sandbox closes its socket.
		socket.on("error", () => socket.destroy());
	}

	say(type: number, head: object, body?: Uint8Array): void {
		this.#socket.write(encodeFrame(type, head, body));
	}

	/** Answers an invocation. */
	answer({ id, attempt }: InvokeHead, more: object = {}): void {
		this.say(FROM_AGENT.answer, { id, attempt, runMs: 1, waiting: false, ...more });
	}

	hangUp(): void {
		this.#socket.destroy();
	}

	#take({ type, head }: Frame): void {
		if (type === TO_AGENT.preload) this.say(FROM_AGENT.preloaded, {});
		else if (type === TO_AGENT.specialise) {
			this.function = (head as SpecialiseHead).function;
			this.#engine.onSpecialise(this, head as SpecialiseHead);
		} else if (type === TO_AGENT.invoke) this.#engine.onInvoke(this, head as InvokeHead);
	}
}

/** An engine without containers, for what no container does on demand. */
export class FakeEngine implements SandboxEngine {
	readonly #directory: string;
	readonly #agentSockets: string;
	readonly #exitListeners: ((exit: SandboxExit) => void)[] = [];
	/** As an engine has to: who kills or removes waits for the boot that is under way. */
	readonly #booting = new Map<string, Promise<unknown>>();
	/** Whether it can give layers to what has booted. */
	grafts = true;
	/** What it was asked to boot and to specialise. */
	readonly boots: BootRequest[] = [];
	readonly specialisations: SpecialiseRequest[] = [];
	/** What it was asked to kill, before it was removed. */
	readonly kills: { readonly sandbox: string; readonly isOver: boolean }[] = [];
	/** Sandboxes that run, and all that ever were, in order. */
	readonly agents = new Map<string, FakeAgent>();
	readonly booted: string[] = [];
	readonly removed: string[] = [];
	/** What a boot, a specialisation and an invocation do; default: they go well at once. */
	onBoot: (request: BootRequest) => Promise<void> = () => Promise.resolve();
	onSpecialise = (agent: FakeAgent, _head: SpecialiseHead) => agent.say(FROM_AGENT.specialised, { handler: "payload", initMs: 1 });
	onInvoke = (agent: FakeAgent, head: InvokeHead) => agent.answer(head);

	constructor(directory: string, agentSockets: string) {
		this.#directory = directory;
		this.#agentSockets = agentSockets;
		mkdirSync(agentSockets, { recursive: true });
		execFileSync("mkfifo", [this.#fifo]);
	}

	host(): Promise<HostReport> {
		return Promise.resolve({
			cgroups: "v2",
			ociRuntime: "none",
			ociRuntimeVersion: "0",
			runtimeClasses: { runsc: { missing: "it makes no sandboxes" } },
			networks: { gateway: "198.19.0.1" },
			storage: { binds: [] },
		});
	}

	dropLayers(): Promise<number> {
		return Promise.resolve(0);
	}

	makeVolume(): Promise<boolean> {
		return Promise.resolve(true);
	}

	removeVolume(): Promise<void> {
		return Promise.resolve();
	}

	ensureLayers(): Promise<void> {
		return Promise.resolve();
	}

	boot(request: BootRequest): Promise<Booted> {
		const answer = this.#boot(request);
		this.#booting.set(
			request.sandbox,
			answer.catch(() => undefined),
		);
		return answer;
	}

	async #boot(request: BootRequest): Promise<Booted> {
		this.boots.push(request);
		await this.onBoot(request);
		const { sandbox } = request;
		const cgroup = new FakeCgroup(join(this.#directory, sandbox));
		const agent = new FakeAgent(this, sandbox, connect(join(this.#agentSockets, `${sandbox}.sock`)), cgroup);
		this.booted.push(sandbox);
		this.agents.set(sandbox, agent);
		agent.say(FROM_AGENT.hello, {});
		const freezer = new CgroupFreezer(cgroup.paths.version, cgroup.freezer);
		const weight = new Weight(cgroup.weightFile, cgroup.paths.version);
		return { cgroup: cgroup.paths, cgroupGoes: false, seesInside: true, output: new FifoOutput(this.#fifo, this.#fifo), freezer, weight };
	}

	specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer> {
		this.specialisations.push(request);
		return Promise.resolve({});
	}

	async kill(sandbox: string, isOver = false): Promise<void> {
		this.kills.push({ sandbox, isOver });
		await this.#booting.get(sandbox);
		this.exit(sandbox, 137);
	}

	/** Its container ends, and that is told at once: what its agent said before may not have been read yet. */
	exit(sandbox: string, code: number): void {
		const agent = this.agents.get(sandbox);
		if (agent === undefined) return;
		this.agents.delete(sandbox);
		for (const listener of this.#exitListeners) listener({ sandbox, code, maxResidentBytes: 0 });
		agent.hangUp();
	}

	async remove(sandbox: string): Promise<void> {
		await this.#booting.get(sandbox);
		this.exit(sandbox, 137);
		this.removed.push(sandbox);
	}

	onExit(listener: (exit: SandboxExit) => void): void {
		this.#exitListeners.push(listener);
	}

	onLost(): void {
		// It never goes away.
	}

	close(): Promise<void> {
		return Promise.resolve();
	}

	/** Sandboxes that run and have this function. */
	of(name: string): readonly FakeAgent[] {
		return [...this.agents.values()].filter((agent) => agent.function === name);
	}

	get #fifo(): string {
		return join(this.#directory, "output");
	}
}
