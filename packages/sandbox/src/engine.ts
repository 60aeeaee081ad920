import type { BootAnswer, BootRequest, Digest, HostReport, SandboxExit, SpecialiseAnswer, SpecialiseRequest } from "@berth/contracts";

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
	/** Makes sure that layers are unpacked on this node, asking `source` for those that aren't. */
	ensureLayers(digests: readonly Digest[], source: LayerSource): Promise<void>;
	/** Removes layers that no sandbox needs and nobody asked for in so long; how many. */
	dropLayers(unusedForMs: number): Promise<number>;
	/** Starts a sandbox's container, with its function's own layers in place if there are some; resolves when it runs (its agent connects by itself). */
	boot(request: BootRequest): Promise<BootAnswer>;
	/** Grafts a function's layers into a booted sandbox, sets its limits and connects it to its network, without a process. */
	specialise(request: SpecialiseRequest): Promise<SpecialiseAnswer>;
	/** Resolves when nothing of the sandbox runs any more. Idempotent. */
	kill(sandbox: string): Promise<void>;
	/** Kills if needed and removes everything. Idempotent. */
	remove(sandbox: string): Promise<void>;
	/** Called for every sandbox whose container ended, whoever ended it. */
	onExit(listener: (exit: SandboxExit) => void): void;
	/** Called when the engine itself went away: every sandbox is lost. */
	onLost(listener: (cause: Error) => void): void;
	close(): Promise<void>;
}

/** Where the bytes of a layer (an uncompressed tar) come from. */
export type LayerSource = (digest: Digest) => AsyncIterable<Uint8Array>;
