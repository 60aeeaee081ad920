import {
	type BootRequest,
	type CgroupPaths,
	type Digest,
	type HostReport,
	type Layer,
	SANDBOX_PATHS,
	type SandboxExit,
	type SpecialiseAnswer,
	type SpecialiseRequest,
	type VersionImage,
} from "@berth/contracts";
import type { Freezer } from "./freezer.js";
import type { Cpus } from "./spared-cpu.js";
import type { Weight } from "./weight.js";

/**
 * What makes containers. A method that rejects is a failure of the platform: the sandbox it was
 * about is to be removed. Each engine passes the same conformance suite.
 */
export interface SandboxEngine {
	/**
	 * Whether a booted sandbox can be given its function's layers. Where it can't, each is booted with them (`own` in the
	 * request), and `specialise` isn't asked for.
	 */
	readonly grafts: boolean;
	host(): Promise<HostReport>;
	/**
	 * Makes sure that layers are unpacked on this node, asking `source` for those that aren't. Where the engine doesn't graft, they
	 * are all that a sandbox is made of, bottom first. @param of the version whose they are, if there is one
	 */
	ensureLayers(layers: readonly PlacedLayer[], source: LayerSource, of?: VersionImage): Promise<void>;
	/** Removes layers that no sandbox needs and nobody asked for in so long; how many. */
	dropLayers(unusedForMs: number): Promise<number>;
	/** Starts a sandbox's container, with its function's own layers in place if there are some; resolves when it runs (its agent connects by itself). */
	boot(request: BootRequest): Promise<Booted>;
	/** Grafts a function's layers into a booted sandbox, sets its limits and connects it to its network, without a process. */
	specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer>;
	/**
	 * Makes a volume, empty. @param id of `volumeIdOf` @returns whether there was none of that id
	 * @throws BerthError storage_unavailable, storage_full; invalid_request when there is one of another size
	 */
	makeVolume(id: string, sizeMiB: number): Promise<boolean>;
	/** Removes a volume and everything in it; sandboxes that have it lose it. Idempotent. */
	removeVolume(id: string): Promise<void>;
	/**
	 * Resolves when nothing of the sandbox runs any more. Idempotent.
	 * @param isOver whether its agent is gone already: then this may not be what ends it, and word of what did is waited for
	 */
	kill(sandbox: string, isOver?: boolean): Promise<void>;
	/** Kills if needed and removes everything. Idempotent. */
	remove(sandbox: string): Promise<void>;
	/** Called for every sandbox whose container ended, whoever ended it. */
	onExit(listener: (exit: SandboxExit) => void): void;
	/** Called when the engine itself went away: every sandbox is lost. */
	onLost(listener: (cause: Error) => void): void;
	close(): Promise<void>;
}

/** A layer, and the directory below which it stands in a sandbox, if not at the root. */
export interface PlacedLayer extends Layer {
	readonly below?: string;
}

/** All that is to be there before a sandbox boots, bottom first. An image (its own layers are the root) has its base beside it. */
export function placed<Each extends object>(
	base: readonly Each[],
	own: readonly Each[],
	ownIsRoot = false,
): (Each & Pick<PlacedLayer, "below">)[] {
	const below = ownIsRoot ? { below: SANDBOX_PATHS.imageBase } : {};
	return [...base.map((layer) => ({ ...layer, ...below })), ...own];
}

/** A sandbox that runs, to whom it is given: who closes output, freezer and weight. */
export interface Booted {
	readonly cgroup: CgroupPaths;
	/** Whether the cgroup goes by itself when the container ends: what is wanted of it has to be read before. */
	readonly cgroupGoes: boolean;
	/**
	 * Whether its cgroup shows what is in it: to the host all of gVisor's memory is shared memory, as a file in /tmp is, and its processes
	 * are there before the sandbox's own are, and after.
	 */
	readonly seesInside: boolean;
	readonly output: SandboxOutput;
	readonly freezer: Freezer;
	/** Absent where its cgroup isn't ours to write: such a sandbox weighs always the same. */
	readonly weight?: Weight;
	/** Absent where it has no choice. */
	readonly cpus?: Cpus;
	/** What it is known by to the worker, where that listens for it. */
	readonly address?: string;
}

export type OutputStream = "stdout" | "stderr";

/** What a sandbox prints, as it comes. */
export interface SandboxOutput {
	/** Whether it may come later than what the agent said after it: then the agent has to mark its end. */
	readonly lags: boolean;
	/** Resolves when nothing more comes. */
	readonly ended: Promise<void>;
	/** There is one listener. */
	listen(listener: (stream: OutputStream, chunk: Buffer) => void): void;
	/** Whether it is read no faster than it takes to let the function go on: what comes is dropped. */
	slow(isSlow: boolean): void;
	close(): void;
}

/** Where the bytes of a layer (an uncompressed tar), or of a manifest or config, come from. */
export type LayerSource = (digest: Digest) => AsyncIterable<Uint8Array>;
