import type {
	BootAnswer,
	BootRequest,
	Digest,
	HostReport,
	Layer,
	SandboxExit,
	SpecialiseAnswer,
	SpecialiseRequest,
} from "@berth/contracts";
import { LAUNCHER_BOUNDS, LAYER_LEASE_MS } from "@berth/contracts";
import type { Booted, LayerSource, SandboxEngine } from "../../engine.js";
import { FifoOutput } from "../../fifo-output.js";
import { CgroupFreezer } from "../../freezer.js";
import { Cpus } from "../../spared-cpu.js";
import { Weight } from "../../weight.js";
import { LauncherConnection } from "../launcher-connection.js";
import { makeVolume } from "../make-volume.js";

/** An OCI runtime (crun or runc), driven by this node's launcher. */
export class OciEngine implements SandboxEngine {
	readonly grafts = true;
	readonly #launcher: LauncherConnection;
	/** A connection for layers alone: a large one must not stand in the way of a thaw. */
	readonly #bulk: LauncherConnection;
	/** Where layers came from last. */
	#source: LayerSource | undefined;
	/** Layers that are there or on their way, and since when that is known. */
	readonly #present = new Map<Digest, { readonly work: Promise<void>; readonly askedAtMs: number }>();

	private constructor(launcher: LauncherConnection, bulk: LauncherConnection) {
		this.#launcher = launcher;
		this.#bulk = bulk;
	}

	/** Connects to a launcher that is running already. */
	static async connect(socketPath: string): Promise<OciEngine> {
		return new OciEngine(await LauncherConnection.open(socketPath), await LauncherConnection.open(socketPath));
	}

	host(): Promise<HostReport> {
		return this.#launcher.request("host", {});
	}

	async ensureLayers(layers: readonly Layer[], source: LayerSource): Promise<void> {
		this.#source = source;
		for (const { digest } of layers) await this.#ensure(digest, source);
	}

	async dropLayers(unusedForMs: number): Promise<number> {
		return (await this.#launcher.request<{ dropped: number }>("dropLayers", { unusedForMs })).dropped;
	}

	async boot(request: BootRequest): Promise<Booted> {
		const layers = [...request.base, ...(request.own ?? [])];
		const answer = await this.#withLayers(layers, () => this.#launcher.request<BootAnswer>("boot", request));
		const { stdout, stderr, cgroup, freezer, weight, cpus, ...more } = answer;
		const output = new FifoOutput(stdout, stderr);
		try {
			return {
				...more,
				cgroup,
				cgroupGoes: false,
				seesInside: request.runtimeClass === undefined,
				output,
				freezer: new CgroupFreezer(cgroup.version, freezer),
				weight: new Weight(weight, cgroup.version),
				...(cpus && { cpus: new Cpus(cpus, request.leavesCpu === true) }),
			};
		} catch (error) {
			output.close();
			throw error;
		}
	}

	async specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer> {
		return await this.#withLayers(request.layers, () => this.#launcher.request("specialise", request));
	}

	async makeVolume(volume: string, sizeMiB: number): Promise<boolean> {
		return await makeVolume(this.#launcher, (await this.host()).storage, volume, sizeMiB);
	}

	async removeVolume(volume: string): Promise<void> {
		await this.#launcher.request("removeVolume", { volume });
	}

	async kill(sandbox: string): Promise<void> {
		await this.#launcher.request("kill", { sandbox });
	}

	async remove(sandbox: string): Promise<void> {
		await this.#launcher.request("remove", { sandbox });
	}

	onExit(listener: (exit: SandboxExit) => void): void {
		this.#launcher.onExit(listener);
	}

	onLost(listener: (cause: Error) => void): void {
		this.#launcher.onLost(listener);
		this.#bulk.onLost(listener);
	}

	async close(): Promise<void> {
		await Promise.all([this.#launcher.close(), this.#bulk.close()]);
	}

	/** Single flight per digest; a failure is forgotten, so that the next one tries again. What was there a while ago is asked for again. */
	#ensure(digest: Digest, source: LayerSource): Promise<void> {
		const known = this.#present.get(digest);
		if (known !== undefined && performance.now() - known.askedAtMs < LAYER_LEASE_MS) return known.work;
		const work = this.#import(digest, source);
		this.#present.set(digest, { work, askedAtMs: performance.now() });
		work.catch(() => this.#present.delete(digest));
		return work;
	}

	/** What is believed about layers is forgotten when something that needs them fails. If they are why, it is tried once more with them. */
	async #withLayers<Answer>(layers: readonly Digest[], step: () => Promise<Answer>): Promise<Answer> {
		try {
			return await step();
		} catch (error) {
			for (const digest of layers) this.#present.delete(digest);
			if (!(await this.#bringMissing(layers))) throw error;
			return await step();
		}
	}

	/** @returns whether any was missing */
	async #bringMissing(layers: readonly Digest[]): Promise<boolean> {
		let missing = false;
		for (const digest of layers) {
			const { present } = await this.#launcher.request<{ present: boolean }>("hasLayer", { digest });
			if (present || this.#source === undefined) continue;
			await this.#ensure(digest, this.#source);
			missing = true;
		}
		return missing;
	}

	async #import(digest: Digest, source: LayerSource): Promise<void> {
		const { present } = await this.#launcher.request<{ present: boolean }>("hasLayer", { digest });
		if (present) return;
		// A source that finds its bytes to be damaged when it has read them gets them anew for the second time.
		await this.#send(digest, source).catch(() => this.#send(digest, source));
	}

	#send(digest: Digest, source: LayerSource): Promise<void> {
		const connection = this.#bulk;
		this.#turn = this.#turn.then(
			() => send(connection, digest, source),
			() => send(connection, digest, source),
		);
		return this.#turn;
	}

	/** Chunks of one layer at a time go over a connection. */
	#turn: Promise<void> = Promise.resolve();
}

async function send(connection: LauncherConnection, digest: Digest, source: LayerSource): Promise<void> {
	try {
		for await (const bytes of source(digest)) {
			for (let at = 0; at < bytes.byteLength; at += LAUNCHER_BOUNDS.maxBodyBytes) {
				await connection.request("importLayer", { digest, last: false }, bytes.subarray(at, at + LAUNCHER_BOUNDS.maxBodyBytes));
			}
		}
	} catch (error) {
		// Half a layer would be taken for the beginning of the next one; ended here, it is refused for its digest.
		await connection.request("importLayer", { digest, last: true }).catch(() => undefined);
		throw error;
	}
	await connection.request("importLayer", { digest, last: true });
}
