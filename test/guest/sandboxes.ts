import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Base, type InvokeHead, type Layer, type ManifestInput, MIB, manifestSchema } from "@berth/contracts";
import { type Lease, OciEngine, Pool, type SandboxResult, type Specialisation } from "@berth/sandbox";
import { eventually } from "../harness/eventually.js";
import { sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";

/** What the image was made with. */
interface Made {
	readonly base: Base;
	/** The functions' layer, which the launcher hasn't yet. */
	readonly functions: Layer;
}

const MADE = JSON.parse(readFileSync("/berth/layers.json", "utf8")) as Made;
/** A boot takes an emulated machine seconds. */
export const PATIENCE_MS = 120_000;

/** How an invocation ended, and what was left of it at that moment. */
export interface Ended {
	readonly sandbox: string;
	readonly start: string;
	readonly result: SandboxResult;
	readonly processes: number;
}

/** A worker's pool on a launcher, with the fixtures for functions. */
export class Sandboxes {
	readonly pool: Pool;
	readonly #engine: OciEngine;
	readonly #dataDir: string;

	private constructor(dataDir: string, engine: OciEngine, pool: Pool) {
		this.#dataDir = dataDir;
		this.#engine = engine;
		this.pool = pool;
	}

	static async open(dataDir: string): Promise<Sandboxes> {
		const engine = await OciEngine.connect(join(dataDir, "run/launcher.sock"));
		const { base } = MADE;
		const pool = new Pool({
			engine,
			layers: () => createReadStream("/berth/functions.tar"),
			bases: { node24: base, node22: base, python3: base, custom: base, build: base },
			node: "node_guest",
			agentSockets: join(dataDir, "run/a"),
			memoryBudgetBytes: 2048 * MIB,
			prewarmed: 0,
			prewarmedBuilds: 0,
			idleTtlMs: 10 * PATIENCE_MS,
			crashesAllowed: 0,
			cores: 2,
			onTrouble: (message, error) => process.stderr.write(`${message}: ${error.message}\n`),
		});
		await pool.start();
		return new Sandboxes(dataDir, engine, pool);
	}

	/** A sandbox that waits for its function. */
	async prewarmed(manifest?: ManifestInput): Promise<string> {
		await this.pool.expect(versionOf("sleeps", manifest));
		// Floors stand as they are configured, and as they were just asked for.
		await this.pool.setFloor("default");
		return await this.#inState("prewarmed");
	}

	/** The id of one that is frozen. @param wanted this one */
	frozen(wanted: string): Promise<string> {
		return this.#inState("frozen", wanted);
	}

	async acquire(name: string, manifest?: ManifestInput): Promise<Lease> {
		await this.prewarmed(manifest);
		return await this.pool.acquire(versionOf(name, manifest));
	}

	/** One attempt in a sandbox that is leased, which is given back. @param during what is looked at while it runs */
	async attempt(lease: Lease, payload: unknown, timeoutMs = PATIENCE_MS, during?: () => void): Promise<Ended> {
		const { id } = lease.sandbox;
		const running = lease.sandbox.invoke({ ...HEAD, timeoutMs }, Buffer.from(JSON.stringify(payload)));
		during?.();
		const result = await running;
		const processes = sandboxProcessesOf(this.#dataDir, id).length;
		lease.release(result.healthy, { runMs: result.runMs, cpuMs: result.usage.cpuMs });
		return { sandbox: id, start: lease.start, result, processes };
	}

	/** The same in a prewarmed sandbox, which is gone after. */
	async ending(name: string, payload: unknown, timeoutMs?: number) {
		const { sandbox, result, processes } = await this.attempt(await this.acquire(name), payload, timeoutMs);
		if (!result.healthy) await this.gone([sandbox]);
		const { outcome, limitsHit, error, answer } = result;
		return { outcome, limitsHit, error: error?.message, answer: answer && Buffer.from(answer.body).toString(), processes };
	}

	/** When these have no cgroup any more. */
	gone(sandboxes: readonly string[]): Promise<void> {
		return eventually(() => {
			const still = sandboxCgroupsOf(this.#dataDir).filter((each) => sandboxes.includes(each));
			if (still.length > 0) throw new Error(`still there: ${still.join(", ")}`);
		}, PATIENCE_MS);
	}

	async close(): Promise<void> {
		await this.pool.close();
		await this.#engine.close();
	}

	/** As of a worker that was killed: it asks for nothing any more. */
	async lose(): Promise<void> {
		await this.#engine.close();
		void this.pool.close();
	}

	#inState(state: string, wanted?: string): Promise<string> {
		return eventually(() => {
			const found = this.pool.list().find((each) => each.state === state && (wanted === undefined || each.id === wanted));
			if (found === undefined) throw new Error(`none is ${state}: ${JSON.stringify(this.pool.list())}`);
			return found.id;
		}, PATIENCE_MS);
	}
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

function versionOf(name: string, manifest: ManifestInput = {}): Specialisation {
	const { base, functions } = MADE;
	return {
		key: `default/${name}:1`,
		project: "default",
		function: name,
		version: 1,
		image: { digest: functions.digest, base, layers: [functions], entry: `${name}/index.cjs` },
		manifest: manifestSchema.parse({ memoryMiB: MEMORY_MIB, ...manifest }),
	};
}
