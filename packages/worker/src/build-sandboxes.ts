import type { BuildRun, BuildSandbox, BuildSandboxes, Respond } from "@berth/builder";
import { type Base, BUILD_BOUNDS, BUILD_REQUEST_HEADER, type BuildRequest, type InvokeHead, type Layer, newId } from "@berth/contracts";
import type { BuildBoot, BuildLease, Pool, SandboxResult } from "@berth/sandbox";

/** Build sandboxes out of the pool: one lease each, thrown away after. */
export class PooledBuildSandboxes implements BuildSandboxes {
	readonly #pool: Pool;

	constructor(pool: Pool) {
		this.#pool = pool;
	}

	async acquire(scripts?: Base): Promise<BuildSandbox> {
		const boot = scripts === undefined ? {} : { scripts };
		return new LeasedBuildSandbox(this.#pool, boot, await this.#pool.acquireBuild(boot));
	}
}

class LeasedBuildSandbox implements BuildSandbox {
	readonly #pool: Pool;
	readonly #boot: BuildBoot;
	#lease: BuildLease;

	constructor(pool: Pool, boot: BuildBoot, lease: BuildLease) {
		this.#pool = pool;
		this.#boot = boot;
		this.#lease = lease;
	}

	async run(request: BuildRequest, payload: Uint8Array, timeoutMs: number, respond?: Respond): Promise<BuildRun> {
		return runOf(await this.#lease.sandbox.invoke(headOf(request, timeoutMs), payload, respond));
	}

	async graft(layer: Layer): Promise<void> {
		if (this.#pool.grafts) {
			await this.#pool.ensureLayers([layer]);
			await this.#lease.sandbox.graft([layer.digest]);
			return;
		}
		// Another one, booted with the layer: nothing that a build asks for stays in its sandbox from one request to the next.
		this.#lease.release(false);
		this.#lease = await this.#pool.acquireBuild({ ...this.#boot, own: [layer] });
	}

	[Symbol.dispose](): void {
		this.#lease.release(false);
	}
}

function headOf(request: BuildRequest, timeoutMs: number): InvokeHead {
	const header = JSON.stringify(request).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
	const http = { method: "POST", url: "/", headers: [[BUILD_REQUEST_HEADER, header]] as const };
	return {
		id: newId("bld"),
		attempt: 1,
		timeoutMs,
		trigger: { kind: "http", request: http },
		maxBodyBytes: BUILD_BOUNDS.maxBodyBytes,
		maxHeaderBytes: BUILD_BOUNDS.maxHeadBytes,
	};
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
