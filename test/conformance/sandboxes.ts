import { type ImageReference, type InvokeHead, type ManifestInput, MIB, manifestSchema, type RuntimeClass } from "@berth/contracts";
import {
	type LayerSource,
	type Lease,
	Pool,
	type SandboxEngine,
	type SandboxResult,
	type Specialisation,
	SpecialiseError,
} from "@berth/sandbox";
import { eventually } from "../harness/eventually.js";

/** What a worker's pool works with. */
export interface SandboxesOptions {
	readonly engine: SandboxEngine;
	/** Directory of the agents' sockets. */
	readonly agentSockets: string;
	/** Fixtures for functions, each at `<name>/index.cjs`, on a base. */
	readonly image: ImageReference;
	readonly layers: LayerSource;
	readonly runtimeClass?: RuntimeClass | undefined;
	/** How long is waited for whatever comes by itself, milliseconds. */
	readonly patienceMs: number;
	/** Whether sandboxes can be ready before anybody knows for whom. */
	readonly prewarms: boolean;
	/** Whether one is ready before every start: where a boot takes about as long as a start may. */
	readonly isSlow?: boolean;
	/** Pids of a sandbox. */
	processesOf(sandbox: string): readonly string[];
	/** Sandboxes that there are. */
	made(): Promise<readonly string[]>;
}

/** How an invocation ended, and what was left of it at that moment. */
export interface Ended {
	readonly sandbox: string;
	readonly start: string;
	readonly result: SandboxResult;
	readonly processes: number;
}

/** A worker's pool on an engine, with the fixtures for functions. */
export class Sandboxes {
	readonly pool: Pool;
	readonly #options: SandboxesOptions;

	private constructor(options: SandboxesOptions, pool: Pool) {
		this.#options = options;
		this.pool = pool;
	}

	static async open(options: SandboxesOptions): Promise<Sandboxes> {
		const { base } = options.image;
		const pool = new Pool({
			engine: options.engine,
			layers: options.layers,
			bases: { node24: base, node22: base, python3: base, custom: base, build: base },
			node: "node_alone",
			agentSockets: options.agentSockets,
			memoryBudgetBytes: 2048 * MIB,
			prewarmed: 0,
			prewarmedBuilds: 0,
			idleTtlMs: 10 * options.patienceMs,
			crashesAllowed: 0,
			cores: 2,
			targetOf: () => Promise.resolve(undefined),
			onTrouble: (message, error) => process.stderr.write(`${message}: ${error.message}\n`),
		});
		await pool.start();
		await pool.warmed();
		return new Sandboxes(options, pool);
	}

	get patienceMs(): number {
		return this.#options.patienceMs;
	}

	/** A sandbox that waits for its function. */
	async prewarmed(manifest?: ManifestInput): Promise<string> {
		await this.pool.expect(this.#versionOf("sleeps", manifest));
		// Floors stand as they are configured, and as they were just asked for.
		await this.pool.setFloor("default");
		return await this.#inState("prewarmed");
	}

	/** A sandbox waits for its function now, where any can. */
	async readied(manifest?: ManifestInput): Promise<void> {
		if (this.#options.prewarms) await this.prewarmed(manifest);
	}

	/** The id of one that is frozen. @param wanted this one */
	frozen(wanted: string): Promise<string> {
		return this.#inState("frozen", wanted);
	}

	async acquire(name: string, manifest?: ManifestInput): Promise<Lease> {
		if (this.#options.isSlow === true) await this.readied(manifest);
		return await this.pool.acquire(this.#versionOf(name, manifest));
	}

	/** Why a function can't be had. @throws Error when it can */
	async refusal(name: string): Promise<Pick<SpecialiseError, "outcome"> & { readonly message: string }> {
		let lease: Lease;
		try {
			lease = await this.acquire(name);
		} catch (error) {
			if (!(error instanceof SpecialiseError)) throw error;
			return { outcome: error.outcome, message: error.message };
		}
		lease.release(false);
		throw new Error(`${name} was loaded`);
	}

	/** One attempt in a sandbox that is leased, which is given back. @param during what is looked at while it runs */
	async attempt(lease: Lease, payload: unknown, timeoutMs = this.patienceMs, during?: () => void): Promise<Ended> {
		const { id } = lease.sandbox;
		const running = lease.sandbox.invoke({ ...HEAD, timeoutMs }, Buffer.from(JSON.stringify(payload)));
		during?.();
		const result = await running;
		const processes = this.#options.processesOf(id).length;
		lease.release(result.healthy, { runMs: result.runMs, cpuMs: result.usage.cpuMs });
		return { sandbox: id, start: lease.start, result, processes };
	}

	/** The same by the function's name. */
	async invoke(name: string, payload: unknown, manifest?: ManifestInput): Promise<Ended> {
		return await this.attempt(await this.acquire(name, manifest), payload);
	}

	/** How one ends, whose sandbox is gone after when it isn't well. */
	async ending(name: string, payload: unknown, { timeoutMs, ...manifest }: ManifestInput = {}) {
		const { sandbox, result, processes } = await this.attempt(await this.acquire(name, manifest), payload, timeoutMs);
		if (!result.healthy) await this.gone([sandbox]);
		const { outcome, limitsHit, error } = result;
		return { outcome, limitsHit, error: error?.message, answer: answerOf(result), processes };
	}

	/** When there is nothing of these any more. */
	gone(sandboxes: readonly string[]): Promise<void> {
		return eventually(async () => {
			const still = (await this.#options.made()).filter((each) => sandboxes.includes(each));
			if (still.length > 0) throw new Error(`still there: ${still.join(", ")}`);
		}, this.patienceMs);
	}

	async close(): Promise<void> {
		await this.pool.close();
		await this.#options.engine.close();
	}

	/** As of a worker that was killed: it asks for nothing any more. */
	async lose(): Promise<void> {
		await this.#options.engine.close();
		void this.pool.close();
	}

	#inState(state: string, wanted?: string): Promise<string> {
		return eventually(() => {
			const found = this.pool.list().find((each) => each.state === state && (wanted === undefined || each.id === wanted));
			if (found === undefined) throw new Error(`none is ${state}: ${JSON.stringify(this.pool.list())}`);
			return found.id;
		}, this.patienceMs);
	}

	#versionOf(name: string, manifest: ManifestInput = {}): Specialisation {
		const { image, runtimeClass } = this.#options;
		return {
			// Another manifest is another version's.
			key: `default/${name}:${JSON.stringify(manifest)}`,
			project: "default",
			function: name,
			version: 1,
			image: { ...image, entry: `${name}/index.cjs` },
			manifest: manifestSchema.parse({ memoryMiB: MEMORY_MIB, ...(runtimeClass === undefined ? {} : { runtimeClass }), ...manifest }),
		};
	}
}

/** What was answered: a text, or what its JSON says; undefined when nothing was. */
export function answerOf({ answer }: SandboxResult): unknown {
	const text = answer && Buffer.from(answer.body).toString();
	return text?.startsWith("{") ? JSON.parse(text) : text;
}

/** Another class than the default's: sandboxes of that one are kept ready as the pool's options say, of any other as it is asked for. */
const MEMORY_MIB = 256;

const HEAD: Omit<InvokeHead, "timeoutMs"> = {
	id: "inv_1",
	attempt: 1,
	trigger: { kind: "event" },
	maxBodyBytes: MIB,
	maxHeaderBytes: 1000,
};
