import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import type {
	BootAnswer,
	BootRequest,
	Digest,
	NetworkReport,
	RuntimeClass,
	SandboxExit,
	SandboxLimits,
	SandboxNetwork,
	SpecialiseAnswer,
	SpecialiseRequest,
	StorageMount,
} from "@berth/contracts";
import { executesScratch, OOM_SCORE, UidRanges } from "@berth/sandbox/spec";
import type { CgroupTree } from "./cgroup.js";
import type { Entry } from "./entry.js";
import type { Networks } from "./networks/networks.js";
import type { OciRuntime } from "./oci-runtime.js";
import type { SandboxFiles } from "./sandbox-files.js";
import type { SandboxStorage } from "./storage/sandbox-storage.js";
import { reapStrays } from "./strays.js";
import { MS, reap } from "./syscalls.js";

export interface SandboxesOptions {
	readonly files: SandboxFiles;
	readonly storage: SandboxStorage;
	readonly serviceUid: number;
	readonly uidBase: number;
	readonly cgroups: CgroupTree;
	readonly networks: Networks;
	/** Whether the operator lets functions have the host's own network. */
	readonly allowsHostNetwork: boolean;
	readonly runtime: OciRuntime;
	/** Of the classes that this host has. */
	readonly classes: Readonly<Partial<Record<RuntimeClass, OciRuntime>>>;
	/** Whether somebody else waits for a process of ours. */
	readonly isAwaited: (pid: number) => boolean;
	readonly onExit: (exit: SandboxExit) => void;
}

/** How often a sandbox that is to end is killed until it has ended, milliseconds. */
const REAP_MS = 20;
/** How often the runtime's own orphans are looked for, milliseconds. */
const STRAYS_MS = 5000;

/** Makes, changes and removes sandboxes. */
export class Sandboxes {
	readonly #options: SandboxesOptions;
	readonly #uids: UidRanges;
	readonly #entries = new Map<string, Entry>();

	constructor(options: SandboxesOptions) {
		this.#options = options;
		this.#uids = new UidRanges(options.uidBase);
		process.on("SIGCHLD", () => this.#reapAll());
		setInterval(() => this.#reapStrays(), STRAYS_MS).unref();
	}

	/** Kills and removes what an earlier launcher left: its mounts ended with it, its sandboxes didn't. */
	async removeLeftovers(): Promise<number> {
		const { cgroups, files } = this.#options;
		const left = cgroups.leftovers();
		for (const id of left) cgroups.kill(id);
		for (const id of left) {
			await until(() => cgroups.isEmpty(id), `leftover ${id} to end`);
			cgroups.remove(id);
		}
		await files.begin();
		return left.length;
	}

	async boot(request: BootRequest): Promise<BootAnswer> {
		const id = request.sandbox;
		if (this.#entries.has(id)) throw new Error(`${id} exists already`);
		if (request.network === "host" && !this.#options.allowsHostNetwork) throw new Error("the host's network isn't permitted");
		const runtime = this.#runtimeFor(request);
		const entry: Entry = {
			id,
			directory: this.#options.files.directoryOf(id),
			uidBase: this.#uids.take(),
			runtime,
			tmpFlags: MS.nosuid | MS.nodev | (executesScratch(request) ? 0 : MS.noexec),
			network: request.network === "host" ? "host" : "none",
			limits: request.limits,
			pid: undefined,
			layers: undefined,
			mounts: [],
			started: Promise.resolve(),
			removal: undefined,
			ended: Promise.withResolvers(),
		};
		this.#entries.set(id, entry);
		let connected: SpecialiseAnswer;
		try {
			const starting = this.#begin(entry, request);
			entry.started = starting.catch(() => undefined);
			await starting;
			this.#options.cgroups.delegate(id, this.#options.serviceUid, request.leavesCpu);
			this.#keepOomScore(entry);
			connected = this.#connect(entry, request.network);
		} catch (error) {
			await this.remove(id);
			throw error;
		}
		const { files, cgroups } = this.#options;
		const writable = { freezer: cgroups.freezerFile(id), weight: cgroups.weightFile(id) };
		const cpus = cgroups.cpusOf(id);
		return { ...(cpus && { cpus }), ...files.outputsOf(entry), cgroup: cgroups.readPaths(id), ...writable, ...connected };
	}

	/** Grafts the function's layers in, sets its limits, mounts what it has and connects it. No process is started. */
	async specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer> {
		const entry = this.#running(request.sandbox);
		if (entry.layers !== undefined) throw new Error(`${entry.id} has a function already: one sandbox, one version`);
		this.#options.files.graft(entry, request.layers);
		this.#limit(entry, request.limits);
		await this.#mount(entry, request.storage);
		return this.#connect(entry, request.network);
	}

	/** Removes a volume, from sandboxes that have it, too. */
	removeVolume(id: string): Promise<void> {
		return this.#options.storage.removeVolume(id, this.#entries.values());
	}

	/** What networks sandboxes may have. */
	networks(): NetworkReport {
		const { missing, gateway } = this.#options.networks;
		return { gateway, ...(missing === undefined ? {} : { missing }) };
	}

	/** Layers that something is mounted from. */
	layersInUse(): ReadonlySet<Digest> {
		return new Set([...this.#options.files.baseLayers(), ...[...this.#entries.values()].flatMap(({ layers }) => layers ?? [])]);
	}

	/** Resolves when nothing of the sandbox runs any more. Idempotent. */
	async kill(id: string): Promise<void> {
		const entry = this.#entries.get(id);
		await entry?.started;
		if (entry?.pid === undefined) return;
		const kill = () => {
			this.#options.cgroups.kill(id);
			this.#reapAll();
		};
		// Again and again: the worker may freeze it at this very moment, and a frozen v1 task doesn't die. Also, waiting
		// for SIGCHLD alone keeps no process alive, and a launcher that stops waits for nothing else.
		const look = setInterval(kill, REAP_MS);
		try {
			kill();
			await entry.ended.promise;
			// What is in no pid namespace of its first process's, as gVisor's kernel and file server, may end after that.
			await until(() => this.#options.cgroups.isEmpty(id), `everything in ${id} to end`);
		} finally {
			clearInterval(look);
		}
	}

	/** Kills if needed, then removes everything of it. Idempotent: who asks again waits for the same removal. */
	async remove(id: string): Promise<void> {
		const entry = this.#entries.get(id);
		if (entry === undefined) return;
		entry.removal ??= this.#remove(entry).catch((error: unknown) => {
			// Whoever asks again has it tried again.
			entry.removal = undefined;
			throw error;
		});
		await entry.removal;
	}

	/** Removes every sandbox, and our cgroup with them. @throws AggregateError of those that couldn't be removed */
	async removeAll(): Promise<void> {
		const results = await Promise.allSettled([...this.#entries.keys()].map((id) => this.remove(id)));
		const errors = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
		if (errors.length > 0) throw new AggregateError(errors, `${errors.length} sandboxes couldn't be removed`);
		this.#options.cgroups.close();
	}

	async #remove(entry: Entry): Promise<void> {
		const { cgroups, files } = this.#options;
		const { id, runtime } = entry;
		await entry.started;
		await this.kill(id);
		if (entry.pid === undefined) cgroups.kill(id);
		await until(() => cgroups.isEmpty(id), `${id}'s cgroup to be empty`);
		cgroups.remove(id);
		await files.clear(entry);
		await rm(runtime.stateOf(id), { recursive: true, force: true });
		this.#entries.delete(id);
		this.#uids.give(entry.uidBase);
	}

	async #begin(entry: Entry, request: BootRequest): Promise<void> {
		this.#options.files.prepare(entry, request);
		await this.#start(entry);
		await this.#mount(entry, request.storage);
	}

	async #start(entry: Entry): Promise<void> {
		const { stdout, stderr } = this.#options.files.outputsOf(entry);
		// Read-write, so that opening doesn't wait for the worker's end.
		const output = { stdout: openSync(stdout, constants.O_RDWR), stderr: openSync(stderr, constants.O_RDWR) };
		try {
			entry.pid = await entry.runtime.run(entry.id, entry.directory, output);
		} finally {
			closeSync(output.stdout);
			closeSync(output.stderr);
		}
		this.#reapAll();
	}

	/**
	 * The runtime sets the score without the capability that makes it the least there may be: a sandbox could lower its
	 * own to the platform's. Set again by us it can't, where we have CAP_SYS_RESOURCE. Init first: what it forks from then on inherits that.
	 */
	#keepOomScore({ id, pid }: Entry): void {
		for (const each of [...(pid === undefined ? [] : [pid]), ...this.#options.cgroups.processes(id)]) {
			writeIfAlive(`/proc/${each}/oom_score_adj`, String(OOM_SCORE));
		}
	}

	#limit(entry: Entry, limits: SandboxLimits): void {
		const before = entry.limits;
		if (limits.tmpfsBytes !== before.tmpfsBytes || limits.tmpfsInodes !== before.tmpfsInodes) this.#options.files.resize(entry, limits);
		this.#options.cgroups.limit(entry.id, limits, before);
		entry.limits = limits;
	}

	/** What the function has at /mnt. It may have ended, or be on its way out, when that is there. */
	async #mount(entry: Entry, wanted: readonly StorageMount[] = []): Promise<void> {
		if (wanted.length === 0) return;
		const sources = await this.#options.storage.sources(wanted);
		const { pid, directory, mounts } = entry;
		if (pid === undefined || entry.removal !== undefined) throw new Error(`${entry.id} isn't running`);
		this.#options.storage.mount({ pid, directory }, wanted, sources, (one) => mounts.push(one));
	}

	/** Its network namespace is there since it was booted: what it lacks is a way out. */
	#connect(entry: Entry, network: SandboxNetwork): SpecialiseAnswer {
		if (entry.network === network) return {};
		if (entry.network !== "none" || network === "host" || network === "none") throw new Error(`${entry.id} was booted for another network`);
		const address = this.#options.networks.connect(entry.pid as number, typeof network === "object" ? "join" : network);
		entry.network = network;
		return network === "internet" ? {} : { address };
	}

	/** gVisor sees what was there at its start: nothing is mounted, and no wire laid, into its sandboxes later. */
	#runtimeFor({ sandbox, runtimeClass, own, network, storage = [] }: BootRequest): OciRuntime {
		if (runtimeClass === undefined) return this.#options.runtime;
		const runtime = this.#options.classes[runtimeClass];
		if (runtime === undefined) throw new Error(`this host has no ${runtimeClass}`);
		if (own === undefined || network !== "none" || storage.length > 0)
			throw new Error(`${sandbox}: under ${runtimeClass} layers are there from the boot on, and neither network nor storage`);
		return runtime;
	}

	#running(id: string): Entry {
		const entry = this.#entries.get(id);
		if (entry?.pid === undefined) throw new Error(`${id} isn't running`);
		return entry;
	}

	/** SIGCHLD says that some child ended, not which: asks after each. */
	#reapAll(): void {
		for (const entry of this.#entries.values()) {
			if (entry.pid === undefined) continue;
			const end = reap(entry.pid);
			if (end === undefined) continue;
			entry.pid = undefined;
			entry.ended.resolve();
			this.#options.onExit({ sandbox: entry.id, ...end });
		}
	}

	#reapStrays(): void {
		const inits = new Set([...this.#entries.values()].map(({ pid }) => pid));
		reapStrays((pid) => inits.has(pid) || this.#options.isAwaited(pid));
	}
}

function writeIfAlive(path: string, text: string): void {
	try {
		writeFileSync(path, text);
	} catch (error) {
		if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
	}
}

/** Waits for what has no event: a cgroup without processes right after its init was reaped. */
async function until(holds: () => boolean, what: string): Promise<void> {
	for (let waitedMs = 0; !holds(); waitedMs += 1) {
		if (waitedMs > 5000) throw new Error(`waited 5 s for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}
