import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { messageOf } from "../system-errors.js";
import { firstCertificate } from "../tls-trust.js";
import { ensureAdminKey, storeAdminKey } from "./admin-key.js";
import { Child, type ChildSpec, StartError } from "./child.js";
import { Control } from "./control.js";
import { prepareDirectories } from "./directories.js";
import { KeptProcess } from "./kept-process.js";
import { stopLeftovers } from "./leftovers.js";
import { ListenSocket } from "./listen-socket.js";
import { type SupervisorLock, takeLock } from "./lock.js";
import { logPath, tailOfLog } from "./log-file.js";
import { ensureNodeId } from "./node-id.js";
import { requireNone } from "./obstacle.js";
import { closeToOthers } from "./owned-file.js";
import { PlatformCgroup } from "./platform-cgroup.js";
import { listenObstacle } from "./port.js";
import { preflight } from "./preflight.js";
import type { ProcessIdentity } from "./process-identity.js";
import {
	gatewaySpec,
	launcherSpec,
	ownPrograms,
	type Programs,
	prepareSpec,
	RETIRE_MS,
	removalSpecs,
	unbuiltObstacle,
	workerSpec,
} from "./programs.js";
import type { ReadyLine } from "./ready-line.js";
import { embeddedRedisOf, redisSpec } from "./redis.js";
import { ensureSecretsKey } from "./secrets-key.js";
import {
	readSupervisorState,
	removeSupervisorState,
	type SupervisorPhase,
	type SupervisorState,
	writeSupervisorState,
} from "./state-file.js";

/** What a stack says when it takes requests. */
export interface StackReady {
	/** The gateway's; null where only a worker is. */
	readonly url: string | null;
	/** The operator's API key; null unless it was made at this start. */
	readonly key: string | null;
	/** The id as a node; null where no worker is. */
	readonly node: string | null;
	readonly dataDir: string;
	/** The supervisor's. */
	readonly pid: number;
}

const LOG_TAIL = 15;

/**
 * One machine's stack: its Redis servers, launcher, worker and gateway, started in that order, kept running, and
 * stopped in the other. Whoever started it stops it.
 */
export class Supervisor {
	readonly #programs: Programs;
	readonly #say: (text: string) => void;
	readonly #startedAt = new Date().toISOString();
	readonly #processes: KeptProcess[] = [];
	readonly #stopping = new AbortController();
	#settings: Settings;
	#lock: SupervisorLock | undefined;
	#listenSocket: ListenSocket | undefined;
	#control: Control | undefined;
	/** The restarts that were asked for, one after another. */
	#restarting: Promise<void> = Promise.resolve();
	#phase: SupervisorPhase = "starting";
	#certificate: Partial<Pick<SupervisorState, "certificate" | "certificateKey" | "startedWith">> = {};
	#firstKey: string | null = null;
	#node: string | null = null;
	#platform: PlatformCgroup | undefined;
	/** Whether there was something that may have made sandboxes. */
	#launched = false;
	/** The one-shot that runs now, if any. */
	#oneShot: ProcessIdentity | undefined;
	#saving: Promise<void> = Promise.resolve();
	#starting: Promise<void> = Promise.resolve();
	#stopped: Promise<void> | undefined;

	/** @param say hears what a person may want to know: progress, processes that ended and are up again */
	constructor(settings: Settings, say: (text: string) => void, programs: Programs = ownPrograms()) {
		this.#settings = settings;
		this.#say = say;
		this.#programs = programs;
	}

	/** Starts everything. What was started is stopped again when it fails. @throws CommandFailure with the log's end */
	async start(): Promise<StackReady> {
		this.#starting = this.#startAll();
		try {
			await this.#starting;
		} catch (error) {
			await this.stop();
			throw await this.#explained(error);
		}
		return { url: this.#url, key: this.#firstKey, node: this.#node, dataDir: this.#settings.dataDir, pid: process.pid };
	}

	/** Stops everything in order, each process within its grace; a start under way is given up. Once is enough. */
	stop(): Promise<void> {
		this.#stopped ??= this.#stopAll();
		return this.#stopped;
	}

	/** Ends every process at once. */
	kill(): void {
		for (const each of this.#processes) each.kill();
	}

	get #url(): string | null {
		return this.#settings.roles.includes("gateway") ? urlOf(this.#settings) : null;
	}

	async #startAll(): Promise<void> {
		requireNone(unbuiltObstacle(this.#programs, this.#settings));
		await preflight(this.#settings, this.#say);
		await prepareDirectories(this.#settings);
		this.#lock = await takeLock(this.#settings.paths);
		await this.#closeAdminKey();
		await this.#clearLeftovers();
		const node = await ensureNodeId(this.#settings);
		// Before minutes are spent on base images; should it be taken meanwhile, the gateway says so.
		const isWorker = this.#settings.roles.includes("worker");
		if (isWorker) this.#node = node;
		const isGateway = this.#settings.roles.includes("gateway");
		if (isGateway) requireNone(await listenObstacle(this.#settings.host, this.#settings.port));
		for (const redis of embeddedRedisOf(this.#settings)) {
			await this.#startProcess(redis.name, () => redisSpec(redis, this.#settings));
		}
		await ensureSecretsKey(this.#settings);
		if (isWorker) await this.#startWorker();
		if (isGateway) await this.#startGateway();
		this.#control = await Control.open(this.#settings.paths.supervisorSocket, (name) => this.restart(name));
		this.#phase = "ready";
		await this.#save();
	}

	async #startWorker(): Promise<void> {
		const launcher = this.#startProcess(
			"launcher",
			() => launcherSpec(this.#programs, this.#settings),
			(line) => this.#launcherReady(line),
		);
		const givenUp = new AbortController();
		launcher.catch((error: unknown) => {
			// One that is ended before it is ready leaves what it had made.
			this.#launched ||= this.#stopping.signal.aborted;
			givenUp.abort(error);
		});
		try {
			await this.#prepare(AbortSignal.any([this.#stopping.signal, givenUp.signal]));
		} finally {
			// One that is ready is stopped in order.
			await launcher;
		}
		this.#say("booting the first sandboxes");
		await this.#startProcess(
			"worker",
			() => workerSpec(this.#programs, this.#settings),
			(line) => this.#workerReady(line),
		);
	}

	async #startGateway(): Promise<void> {
		await this.#provideKey();
		const listenSocket = await ListenSocket.open(this.#settings.host, this.#settings.port);
		this.#listenSocket = listenSocket;
		this.#settings = { ...this.#settings, port: listenSocket.port };
		await this.#startProcess(
			"gateway",
			() => gatewaySpec(this.#programs, this.#settings, listenSocket.fd),
			(line) => this.#gatewayReady(line),
		);
		if (this.#settings.tls !== undefined) {
			const { certificate, key } = this.#settings.tls;
			this.#certificate = { certificate, certificateKey: key, startedWith: await firstCertificate(certificate) };
		}
	}

	/**
	 * Starts a process again, so that nobody who uses the stack notices: a gateway's next one is up before it ends, a worker's work waits.
	 * A launcher's goes with its worker, which has made its sandboxes. @throws Error when there is none of that name, or it doesn't get ready
	 */
	async restart(name: string): Promise<void> {
		const restarted = this.#restarting.then(() => this.#restart(name));
		this.#restarting = restarted.catch(() => undefined);
		await restarted;
	}

	async #restart(name: string): Promise<void> {
		const [kept, worker] = [name, "worker"].map((each) => this.#processes.find((one) => one.name === each));
		if (kept === undefined) {
			const names = this.#processes.map((each) => each.name).join(", ");
			throw new CommandFailure(EXIT.failed, `there is no process ${name} here: ${names}`);
		}
		this.#say(`starting ${name} again, as was asked for`);
		// Should another version of Berth be installed by now, its worker wants its own bases.
		if (name === "worker" || name === "launcher") await this.#prepare();
		if (name === "gateway") await kept.replace(RETIRE_MS);
		else if (name === "launcher" && worker !== undefined) await worker.restart(() => kept.restart());
		else await kept.restart();
	}

	/** One that was started again was born where it belongs. */
	async #launcherReady({ platform, unenforced }: ReadyLine): Promise<void> {
		this.#launched = true;
		this.#sayWhatIsLacking(Array.isArray(unenforced) ? unenforced : []);
		if (typeof platform !== "string" || this.#platform !== undefined) return;
		try {
			const started = this.#processes.flatMap(({ identity }) => identity?.pid ?? []);
			this.#platform = await PlatformCgroup.enter(platform, started);
		} catch (error) {
			this.#say(
				`sandboxes that are busy slow down everything here, since the stack has no share of the CPU of its own: ${messageOf(error)}`,
			);
		}
	}

	/** At every start, as long as it is so. */
	#sayWhatIsLacking(unenforced: readonly unknown[]): void {
		const { insecureAllow } = this.#settings;
		if (unenforced.length > 0)
			this.#say(`INSECURE: this host doesn't enforce ${unenforced.join(", ")} for functions' sandboxes, as --insecure-allow has it`);
		const needless = insecureAllow.filter((limit) => !unenforced.includes(limit));
		if (needless.length > 0) this.#say(`--insecure-allow=${needless.join(",")} isn't needed: this host enforces that, and it is enforced`);
	}

	#workerReady({ store }: ReadyLine): void {
		if (store === "lost")
			this.#say(
				"the durable Redis has lost its functions, and nothing can be deployed; their images are here: `berth recover` brings them back",
			);
	}

	async #stopAll(): Promise<void> {
		this.#stopping.abort(new CommandFailure(EXIT.interrupted, "stopped before it was ready"));
		await this.#starting.catch(() => undefined);
		this.#phase = "stopping";
		await this.#save();
		await this.#control?.close();
		for (const each of this.#processes.toReversed()) {
			const endedWell = await each.stop();
			// With no gateway any more, whoever comes is refused at once.
			if (each.name === "gateway") this.#listenSocket?.close();
			if (this.#launched && !endedWell) await this.#removeLeftovers(each.name);
		}
		await this.#platform?.leave().catch((error: unknown) => this.#say(`the stack's cgroup stays: ${messageOf(error)}`));
		await this.#saving;
		if (this.#lock === undefined) return;
		await removeSupervisorState(this.#settings.paths);
		await this.#lock[Symbol.asyncDispose]();
		this.#lock = undefined;
	}

	async #startProcess(
		name: string,
		specOf: () => ChildSpec,
		ready: (line: ReadyLine) => void | Promise<void> = () => undefined,
	): Promise<void> {
		const kept = new KeptProcess(name, specOf, { changed: () => void this.#save(), ready, say: this.#say });
		this.#processes.push(kept);
		await kept.start(this.#stopping.signal);
	}

	async #prepare(signal = this.#stopping.signal): Promise<void> {
		const spec = prepareSpec(this.#programs, this.#settings, this.#say);
		try {
			await Child.start(spec, signal, (identity) => {
				this.#oneShot = identity;
				void this.#save();
			});
		} finally {
			this.#oneShot = undefined;
		}
	}

	/** A copy that was put back, or a restored backup of everything, may have come with a mode that shows it to others. */
	async #closeAdminKey(): Promise<void> {
		const { adminKey } = this.#settings.paths;
		const mode = await closeToOthers(adminKey);
		if (mode === undefined) return;
		this.#say(
			`warning: ${adminKey} had mode ${mode.toString(8)}, and has 600 now: who could read it may have the operator's key; docs/operating.md (Keys) has how to replace it`,
		);
	}

	/**
	 * Makes the operator's key, unless the operator has named one. A durable Redis of the operator's may serve other
	 * machines, too, whose key ours must not replace: there the gateway makes a first key when there is none at all.
	 */
	async #provideKey(): Promise<void> {
		if (this.#settings.adminKeySha256 !== undefined || !this.#settings.embedded.durable) return;
		const { sha256, made } = await ensureAdminKey(this.#settings.paths);
		this.#settings = { ...this.#settings, adminKeySha256: sha256 };
		this.#firstKey = made;
	}

	/** The port it took stays its port when it is started again; a first key is kept before anybody sees it. */
	async #gatewayReady(line: ReadyLine): Promise<void> {
		const { port, firstKey } = line;
		if (typeof port === "number") this.#settings = { ...this.#settings, port };
		if (typeof firstKey !== "string") return;
		await storeAdminKey(this.#settings.paths, firstKey);
		this.#firstKey = firstKey;
	}

	/** What a process that was killed couldn't remove. What stays all the same, the next start removes. */
	async #removeLeftovers(of: string): Promise<void> {
		const spec = removalSpecs(this.#programs, this.#settings).find(({ name }) => name === of);
		if (spec === undefined) return;
		try {
			await Child.start(spec, new AbortController().signal);
		} catch (error) {
			this.#say(`sandboxes may be left, which the next start removes: ${messageOf(error)}`);
		}
	}

	async #clearLeftovers(): Promise<void> {
		const left = await readSupervisorState(this.#settings.paths);
		if (left === undefined) return;
		const stopped = await stopLeftovers(left);
		if (stopped.length > 0) this.#say(`stopped what an earlier supervisor had left: ${stopped.join(", ")}`);
	}

	/** Writes the state as it is when its turn comes: one write at a time, the last one wins. */
	#save(): Promise<void> {
		const write = async () => {
			if (this.#lock === undefined) return;
			const running = this.#processes.flatMap(({ name, identities }) => identities.map((identity) => ({ name, ...identity })));
			await writeSupervisorState(this.#settings.paths, {
				supervisor: this.#lock.holder,
				phase: this.#phase,
				...(this.#phase === "ready" && this.#url !== null ? { url: this.#url, ...this.#certificate } : {}),
				startedAt: this.#startedAt,
				children: this.#oneShot === undefined ? running : [...running, { name: "prepare", ...this.#oneShot }],
			});
		};
		this.#saving = this.#saving.then(write).catch((error: unknown) => this.#say(`the supervisor's state can't be written: ${error}`));
		return this.#saving;
	}

	async #explained(error: unknown): Promise<unknown> {
		if (!(error instanceof StartError)) return error;
		const { logs } = this.#settings.paths;
		const tail = await tailOfLog(logs, error.child, LOG_TAIL, error.logFrom);
		const shown = tail.map((line) => `  ${line}`).join("\n");
		return new CommandFailure(
			EXIT.failed,
			`${error.message}. ${logPath(logs, error.child)}${tail.length === 0 ? " is empty." : ` ends:\n${shown}`}`,
		);
	}
}

/** How this machine reaches the gateway: what listens on every address is asked on loopback. */
function urlOf({ host, port, tls }: Settings): string {
	const loopback: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
	const address = loopback[host] ?? host;
	return `${tls === undefined ? "http" : "https"}://${address.includes(":") ? `[${address}]` : address}:${port}`;
}
