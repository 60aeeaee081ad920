import type { Base, BuildRequest, Layer } from "@berth/contracts";

/** How a build's sandbox ended with it. `answer` is JSON of its header, unchecked: it is the tenant's. */
export type BuildRun =
	| { readonly outcome: "answered"; readonly answer: unknown; readonly body: Uint8Array }
	| { readonly outcome: "timed_out" | "out_of_memory" | "crashed"; readonly message: string };

/** Answers what a build asks while it runs: unchecked, like its answer. Rejecting ends the sandbox. */
export type Respond = (head: unknown, body: Uint8Array) => Promise<{ readonly head: object; readonly body?: Uint8Array }>;

/**
 * Where sources are unpacked and bundled, and dependencies installed: a sandbox of the build class, with nothing of
 * the host in view. What the source does to it is a value; a rejection is the platform's failure. Whoever got one disposes of it.
 */
export interface BuildSandbox extends Disposable {
	run(request: BuildRequest, payload: Uint8Array, timeoutMs: number, respond?: Respond): Promise<BuildRun>;
	/** Grafts a layer in, once. */
	graft(layer: Layer): Promise<void>;
}

/** Build sandboxes, each for one source or one installation and thrown away after. */
export interface BuildSandboxes {
	/** @param scripts the base of one for packages' scripts */
	acquire(scripts?: Base): Promise<BuildSandbox>;
}
