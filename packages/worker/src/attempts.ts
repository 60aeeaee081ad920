import {
	type AttemptRecord,
	BerthError,
	FIXED_LIMITS,
	type FunctionError,
	type InvocationResult,
	type LogBook,
	type LogLine,
	type Phases,
	type Settlement,
} from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import type { PayloadStore } from "@berth/registry";
import { type Lease, type Pool, type SandboxResult, type Specialisation, SpecialiseError } from "@berth/sandbox";
import type { WorkerMetrics } from "@berth/telemetry";
import { bytesOf, referenceTo } from "./bodies.js";
import type { ReadyVersions } from "./versions.js";

/** Logs up to this size stay in the record, bytes. */
const INLINE_LOG_BYTES = 8 * 1024;

export interface AttemptsOptions {
	readonly node: string;
	readonly pool: Pool;
	readonly versions: ReadyVersions;
	readonly payloads: PayloadStore;
	readonly metrics: WorkerMetrics;
	/** A stack in terms of the source; the error as it is when there is no map for it. */
	readonly remap: (error: FunctionError, target: Specialisation) => Promise<FunctionError>;
}

/** Runs attempts: a sandbox from the pool, the invocation in it, and everything there is to say about how it went. */
export class Attempts {
	readonly #options: AttemptsOptions;

	constructor(options: AttemptsOptions) {
		this.#options = options;
	}

	/** Never rejects for what a function does; a rejection is recorded as `platform_error` by the queue. */
	async run(delivery: Delivery): Promise<Settlement> {
		const settlement = await this.#settle(delivery);
		this.#options.metrics.settled(delivery.request.project, delivery.lane, settlement);
		return settlement;
	}

	async #settle(delivery: Delivery): Promise<Settlement> {
		const { request } = delivery;
		const askedAt = performance.now();
		try {
			const version = await this.#options.versions.get(request.project, request.function, request.version);
			const target: Specialisation = {
				key: `${request.project}/${request.function}:${request.version}`,
				project: request.project,
				function: request.function,
				version: request.version,
				image: version.image,
				manifest: version.manifest,
			};
			const body = await bytesOf(request.body, this.#options.payloads);
			const lease = await this.#acquire(delivery, target, askedAt);
			return "attempt" in lease ? lease : await this.#runIn(lease, delivery, target, body);
		} catch (error) {
			if (!(error instanceof BerthError)) throw error;
			const phases = { queueMs: delivery.queueMs, startMs: performance.now() - askedAt, initMs: 0, runMs: 0 };
			return this.#failed(delivery, {
				outcome: "platform_error",
				code: error.code,
				phases,
				error: { name: error.name, message: error.message },
			});
		}
	}

	/** A lease, or the settlement when the function can't be loaded. */
	async #acquire(delivery: Delivery, target: Specialisation, askedAt: number): Promise<Lease | Settlement> {
		try {
			return await this.#options.pool.acquire(target);
		} catch (error) {
			if (!(error instanceof SpecialiseError)) throw error;
			const phases: Phases = { queueMs: delivery.queueMs, startMs: 0, initMs: performance.now() - askedAt, runMs: 0 };
			const described = await this.#options.remap(error.error, target);
			return this.#failed(
				delivery,
				{ outcome: error.outcome, code: error.outcome, phases, error: described },
				await this.#logBook(error.log.lines, error.log.truncated),
			);
		}
	}

	async #runIn(lease: Lease, delivery: Delivery, target: Specialisation, body: Uint8Array): Promise<Settlement> {
		const { request, lost } = delivery;
		const { sandbox } = lease;
		const onLost = () => void sandbox.kill();
		lost.addEventListener("abort", onLost, { once: true });
		let result: SandboxResult | undefined;
		try {
			const head = {
				id: request.id,
				attempt: delivery.attempt,
				timeoutMs: request.timeoutMs,
				trigger: request.trigger,
				maxBodyBytes: FIXED_LIMITS.bodyBytes,
			};
			result = await sandbox.invoke(head, body);
		} finally {
			lost.removeEventListener("abort", onLost);
			lease.release(result?.healthy ?? false, result && { runMs: result.runMs, cpuMs: result.usage.cpuMs });
		}
		const attempt: AttemptRecord = {
			attempt: delivery.attempt,
			outcome: result.outcome,
			start: lease.start,
			phases: { queueMs: delivery.queueMs, startMs: lease.startMs, initMs: lease.initMs, runMs: result.runMs },
			usage: result.usage,
			limitsHit: result.limitsHit,
			...(result.error === undefined ? {} : { error: await this.#options.remap(result.error, target) }),
			...(result.outcome === "succeeded" ? {} : { code: result.outcome }),
			node: this.#options.node,
			sandbox: sandbox.id,
			finishedAtMs: Date.now(),
		};
		const logs = await this.#logBook(result.log.lines, result.log.truncated);
		return {
			attempt,
			...(result.answer === undefined ? {} : { result: await this.#resultOf(result.answer) }),
			...(logs === undefined ? {} : { logs }),
		};
	}

	async #resultOf({ head, body }: NonNullable<SandboxResult["answer"]>): Promise<InvocationResult> {
		return {
			body: await referenceTo(body, this.#options.payloads),
			...(head.contentType === undefined ? {} : { contentType: head.contentType }),
			...(head.response === undefined ? {} : { response: head.response }),
		};
	}

	#failed(delivery: Delivery, what: Pick<AttemptRecord, "outcome" | "code" | "phases" | "error">, logs?: LogBook): Settlement {
		const attempt = { attempt: delivery.attempt, ...what, limitsHit: [], node: this.#options.node, finishedAtMs: Date.now() };
		return { attempt, ...(logs === undefined ? {} : { logs }) };
	}

	async #logBook(lines: readonly LogLine[], truncated: boolean): Promise<LogBook | undefined> {
		if (lines.length === 0 && !truncated) return undefined;
		const bytes = lines.reduce((sum, { text }) => sum + text.length, 0);
		if (bytes <= INLINE_LOG_BYTES) return { lines, truncated };
		return { payload: await this.#options.payloads.put(Buffer.from(JSON.stringify(lines))), truncated };
	}
}
