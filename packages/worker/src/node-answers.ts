import { statfsSync } from "node:fs";
import { BerthError, MIB, type NodeStats, type SandboxState, VOLUMES_LEAVE_FREE, type WaivableLimit } from "@berth/contracts";
import type { NodeAnswer, NodeQuestion } from "@berth/queue";
import type { Pool, SandboxEngine } from "@berth/sandbox";
import type { WorkerMetrics } from "@berth/telemetry";
import type { Builds } from "./builds.js";
import type { Drain } from "./drain.js";
import type { Images } from "./images/images.js";
import type { InvocationEnds } from "./invocation-ends.js";
import type { LogTail } from "./log-tail.js";

const STATES: readonly SandboxState[] = ["booting", "prewarmed", "specialising", "busy", "warm", "frozen", "retiring"];

export interface NodeAnswersOptions {
	readonly node: string;
	readonly pool: Pool;
	readonly builds: Builds;
	readonly images: Images;
	readonly metrics: WorkerMetrics;
	readonly tail: LogTail;
	readonly ends: InvocationEnds;
	readonly drain: Drain;
	readonly engine: Pick<SandboxEngine, "makeVolume" | "removeVolume">;
	/** What volumes may have together, bytes, and where they are. */
	readonly volumes: { readonly bytes: number; readonly directory: string };
	/** Limits of sandboxes that this host can't enforce. */
	readonly unenforced: readonly WaivableLimit[];
}

/** What this node says when a gateway asks it something. */
export class NodeAnswers {
	readonly #node: string;
	readonly #startedAt = new Date().toISOString();
	readonly #pool: Pool;
	readonly #builds: Builds;
	readonly #images: Images;
	readonly #metrics: WorkerMetrics;
	readonly #tail: LogTail;
	readonly #ends: InvocationEnds;
	readonly #drain: Drain;
	readonly #engine: Pick<SandboxEngine, "makeVolume" | "removeVolume">;
	readonly #volumes: NodeAnswersOptions["volumes"];
	readonly #unenforced: readonly WaivableLimit[];

	constructor({ node, pool, builds, images, metrics, engine, volumes, tail, ends, drain, unenforced }: NodeAnswersOptions) {
		this.#node = node;
		this.#pool = pool;
		this.#builds = builds;
		this.#images = images;
		this.#metrics = metrics;
		this.#tail = tail;
		this.#ends = ends;
		this.#drain = drain;
		this.#engine = engine;
		this.#volumes = volumes;
		this.#unenforced = unenforced;
	}

	async answer(question: NodeQuestion): Promise<NodeAnswer> {
		switch (question.kind) {
			case "stats":
				return { kind: "stats", stats: this.#stats() };
			case "sandboxes":
				return { kind: "sandboxes", sandboxes: this.#pool.list(), failing: this.#pool.failing() };
			case "metrics":
				return { kind: "metrics", text: await this.#metrics.registry.metrics() };
			case "startTransfer":
				return { kind: "transfer", transfer: await this.#images.start(question.request) };
			case "transfer": {
				const transfer = await this.#images.transfer(question.project, question.id, question.after);
				return { kind: "transfer", ...(transfer === undefined ? {} : { transfer }) };
			}
			case "logs":
				return await this.#tail.answer(question);
			case "ends":
				return await this.#ends.answer(question);
			case "drain":
				if (question.drains !== undefined) await this.#drain.set(question.drains);
				return { kind: "drain", drain: this.#drain.state() };
			case "recover":
				return { kind: "recovery", recovery: await this.#images.recover() };
			case "makeVolume":
				return { kind: "done", affected: (await this.#makeVolume(question.volume, question.sizeMiB)) ? 1 : 0 };
			case "removeVolume":
				await this.#engine.removeVolume(question.volume);
				return { kind: "done", affected: 1 };
			case "kill":
				return { kind: "done", affected: (await this.#kill(question)) ? 1 : 0 };
			case "evict":
				return { kind: "done", affected: await this.#pool.evict(question.project, question.function) };
			case "prewarm":
				return { kind: "done", affected: await this.#pool.setFloor(question.floor) };
		}
	}

	/** One that is there stays as it is, also where its size wouldn't be had any more. */
	async #makeVolume(volume: string, sizeMiB: number): Promise<boolean> {
		try {
			return await this.#engine.makeVolume(volume, sizeMiB);
		} catch (error) {
			if (error instanceof BerthError && error.code === "storage_full") this.#refuseOversized(sizeMiB);
			throw error;
		}
	}

	/** Whoever is told that there is no space now asks again. @throws BerthError invalid_request for a volume that never fits */
	#refuseOversized(sizeMiB: number): void {
		const { bytes, directory } = this.#volumes;
		const { blocks, bsize } = statfsSync(directory);
		const mostMiB = Math.floor(Math.min(bytes, blocks * bsize * (1 - 1 / VOLUMES_LEAVE_FREE)) / MIB);
		if (sizeMiB <= mostMiB) return;
		const message = `${sizeMiB} MiB never fit on this node: its volumes may have ${mostMiB} together (BERTH_VOLUMES_MIB, and a twentieth of the disk stays free)`;
		throw new BerthError("invalid_request", `sizeMiB: ${message}`, { issues: [{ field: "sizeMiB", message }] });
	}

	async #kill({ sandbox, project }: Extract<NodeQuestion, { kind: "kill" }>): Promise<boolean> {
		if (project !== undefined && !this.#pool.list().some((each) => each.id === sandbox && each.project === project)) return false;
		return await this.#pool.kill(sandbox);
	}

	#stats(): NodeStats {
		const { starts, waiting, memoryBytes, memoryBudgetBytes } = this.#pool.stats;
		const sandboxes = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<SandboxState, number>;
		for (const { state } of this.#pool.list()) sandboxes[state]++;
		return {
			node: this.#node,
			startedAt: this.#startedAt,
			sandboxes,
			invocations: this.#metrics.outcomes,
			starts,
			builds: this.#builds.counts,
			memoryBytes,
			memoryBudgetBytes,
			waiting,
			failing: this.#pool.failing().length,
			...(this.#unenforced.length === 0 ? {} : { unenforced: this.#unenforced }),
		};
	}
}
