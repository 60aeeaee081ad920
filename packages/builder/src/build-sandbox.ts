import type { BuildRequest } from "@berth/contracts";

/** How a build's sandbox ended with it. `answer` is JSON of its header, unchecked: it is the tenant's. */
export type BuildRun =
	| { readonly outcome: "answered"; readonly answer: unknown; readonly body: Uint8Array }
	| { readonly outcome: "timed_out" | "out_of_memory" | "crashed"; readonly message: string };

/**
 * Where sources are unpacked and bundled: a sandbox of the build class, with nothing of the host in
 * view. What the source does to it is a value; a rejection is the platform's failure.
 */
export interface BuildSandbox {
	run(request: BuildRequest, source: Uint8Array, timeoutMs: number): Promise<BuildRun>;
}
