import type { SandboxExit, SandboxLimits, SandboxProgram } from "@berth/contracts";
import { type CauseOfDeath, causeOfDeath, ownMemoryOf } from "./cause-of-death.js";
import { CgroupReader } from "./cgroup-reader.js";
import type { Conversation, Ending } from "./conversation.js";
import { CpuClaim } from "./cpu-claim.js";
import type { CpuShares } from "./cpu-shares.js";
import { EgressRefusals } from "./egress-refusals.js";
import type { Booted } from "./engine.js";
import type { Freezer } from "./freezer.js";
import { LogReader } from "./log-reader.js";
import type { Cpus, SparedCpu } from "./spared-cpu.js";
import { UsageMeter } from "./usage-meter.js";

/** What a sandbox has from its boot until its removal: its agent's connection, its output, its cgroup. */
export class Body {
	readonly talk: Conversation;
	readonly logs: LogReader;
	readonly cgroup: CgroupReader;
	readonly meter: UsageMeter;
	readonly egress: EgressRefusals;
	readonly freezer: Freezer;
	readonly claim: CpuClaim | undefined;
	readonly #cpus: Cpus | undefined;
	readonly #spared: SparedCpu;
	readonly #cgroupGoes: boolean;
	readonly #seesInside: boolean;
	/** Processes when nothing but init and the agent ran in it: these; under gVisor those that they run in, and what it is made of. */
	#restingProcesses = 0;

	constructor(talk: Conversation, { output, cgroup, cgroupGoes, seesInside, freezer, weight, cpus }: Booted, shares: CpuShares) {
		this.talk = talk;
		this.logs = new LogReader(output);
		this.cgroup = new CgroupReader(cgroup);
		this.meter = new UsageMeter(this.cgroup, seesInside);
		this.egress = new EgressRefusals((line) => this.logs.say(line));
		this.freezer = freezer;
		this.claim = weight && new CpuClaim(this.cgroup, weight, shares);
		this.#cpus = cpus;
		this.#spared = shares.spared;
		if (cpus !== undefined) shares.spared.add(cpus);
		this.#cgroupGoes = cgroupGoes;
		this.#seesInside = seesInside;
	}

	/** Nothing but init and the agent runs in it now. */
	rests(): void {
		this.#restingProcesses = this.#processes();
		// One that ends while it loads its function may be gone before anything else was read of it.
		this.remember();
		this.claim?.see();
	}

	/**
	 * Whether a process was left behind. Counting tasks would be less work (1 µs for 10), but Node and gVisor's kernel have a thread more or less now and
	 * then, and one that has ended would hide a process.
	 */
	hasStrays(): boolean {
		return this.#processes() > this.#restingProcesses;
	}

	#processes(): number {
		return this.#seesInside ? this.cgroup.processes() : this.cgroup.occupied();
	}

	/** Keeps what a cgroup says that may be gone in a moment. */
	remember(): void {
		if (this.#cgroupGoes) this.cgroup.remember();
	}

	/** @param exit the engine's word of it, if it came */
	causeOf(
		ending: Ending,
		exit: Omit<SandboxExit, "sandbox"> | undefined,
		limits: SandboxLimits,
		program: SandboxProgram,
		streamed: boolean,
	): CauseOfDeath {
		const { cgroup } = this;
		return causeOfDeath({
			ending,
			exitCode: exit?.code,
			oomKills: exit?.oomKilled === true ? 1 : cgroup.oomKills(),
			peakMemoryBytes: cgroup.keepsPeak ? cgroup.peakMemoryBytes() : ownMemoryOf(exit),
			limits,
			program,
			streamed,
		});
	}

	close(): void {
		this.logs.close();
		this.claim?.close();
		if (this.#cpus !== undefined) this.#spared.remove(this.#cpus);
		this.cgroup.close();
		this.freezer.close();
	}
}
