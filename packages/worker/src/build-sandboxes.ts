import type { BuildRun, BuildSandbox } from "@berth/builder";
import { BUILD_BOUNDS, BUILD_REQUEST_HEADER, type BuildRequest, newId } from "@berth/contracts";
import type { Pool, SandboxResult } from "@berth/sandbox";

/** Builds in sandboxes of the build class: one each, thrown away after. */
export class BuildSandboxes implements BuildSandbox {
	readonly #pool: Pool;

	constructor(pool: Pool) {
		this.#pool = pool;
	}

	async run(request: BuildRequest, source: Uint8Array, timeoutMs: number): Promise<BuildRun> {
		const lease = await this.#pool.acquireBuild();
		try {
			return runOf(await lease.sandbox.invoke(this.#head(request, timeoutMs), source));
		} finally {
			lease.release(false);
		}
	}

	#head(request: BuildRequest, timeoutMs: number) {
		const header = JSON.stringify(request).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
		const http = { method: "POST", url: "/", headers: [[BUILD_REQUEST_HEADER, header]] as const };
		return {
			id: newId("bld"),
			attempt: 1,
			timeoutMs,
			trigger: { kind: "http" as const, request: http },
			maxBodyBytes: BUILD_BOUNDS.maxBodyBytes,
			maxHeaderBytes: BUILD_BOUNDS.maxHeadBytes,
		};
	}
}

function runOf({ outcome, answer, error }: SandboxResult): BuildRun {
	if (outcome === "succeeded" && answer !== undefined) {
		const header = answer.head.response?.headers.find(([name]) => name === BUILD_REQUEST_HEADER)?.[1];
		return { outcome: "answered", answer: parsed(header), body: answer.body };
	}
	const message = error === undefined ? outcome : `${error.name}: ${error.message}`;
	return { outcome: outcome === "timed_out" || outcome === "out_of_memory" ? outcome : "crashed", message };
}

/** The header as the tenant's sandbox sent it; what isn't JSON is no answer. */
function parsed(header: string | undefined): unknown {
	try {
		return header === undefined ? undefined : (JSON.parse(header) as unknown);
	} catch {
		return undefined;
	}
}
