import { setTimeout as pause } from "node:timers/promises";
import { SECOND_MS } from "@berth/contracts";
import { otlpOf, type Resource } from "./otlp.js";
import type { Span, SpanSink } from "./span.js";

/** What OpenTelemetry's batch processor does where nothing is said: spans that wait, those of one request; and how long one may take, milliseconds. */
const WAITING = 2048;
const BATCH = 512;
const REQUEST_MS = 10 * SECOND_MS;
/** A request that may succeed later is tried again after 1, 2 and 4 s, or as the collector says, up to that. */
const TRIES = 4;
const FIRST_PAUSE_MS = SECOND_MS;
const LONGEST_PAUSE_MS = 30 * SECOND_MS;
/** OTLP 1.x, "Retryable Response Codes". */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface SpanExporterOptions {
	/** Of a collector's `/v1/traces`. */
	readonly endpoint: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly resource: Resource;
	/** Told what became of spans, and why those were dropped that were. */
	readonly onExported: (spans: number) => void;
	readonly onDropped: (spans: number, reason: string) => void;
	/** How long spans are gathered, milliseconds. */
	readonly everyMs: number;
	/** For tests; milliseconds. */
	readonly firstPauseMs?: number;
}

/** Sends spans to an OpenTelemetry collector in batches: OTLP as JSON over HTTP. What it has no room for, or no collector takes, is dropped, and counted. */
export class SpanExporter implements SpanSink {
	readonly #options: SpanExporterOptions;
	readonly #stopped = new AbortController();
	#waiting: Span[] = [];
	#timer: NodeJS.Timeout | undefined;
	#sending: Promise<void> | undefined;

	constructor(options: SpanExporterOptions) {
		this.#options = options;
	}

	take(span: Span): void {
		if (this.#waiting.length >= WAITING) {
			this.#options.onDropped(1, "more spans wait than there is room for");
			return;
		}
		this.#waiting.push(span);
		if (this.#waiting.length >= BATCH) this.#send();
		else this.#timer ??= setTimeout(() => this.#send(), this.#options.everyMs).unref();
	}

	/** Sends what waits, for so long at most, milliseconds. */
	async close(graceMs: number): Promise<void> {
		this.#send();
		const over = new AbortController();
		const late = pause(graceMs, undefined, { signal: over.signal }).catch(() => undefined);
		await Promise.race([this.#sending, late]);
		over.abort();
		this.#stopped.abort();
		await this.#sending;
	}

	#send(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#sending ??= this.#sendAll().finally(() => {
			this.#sending = undefined;
		});
	}

	async #sendAll(): Promise<void> {
		while (this.#waiting.length > 0) {
			const batch = this.#waiting.splice(0, BATCH);
			// One span that can't be written costs its batch, not the process.
			const refusal = await this.#export(batch).catch((error: Error) => `they can't be written: ${error.message}`);
			if (refusal === undefined) this.#options.onExported(batch.length);
			else this.#options.onDropped(batch.length, refusal);
		}
	}

	/** @returns why nobody took them, if nobody did */
	async #export(batch: readonly Span[]): Promise<string | undefined> {
		const body = JSON.stringify(otlpOf(batch, this.#options.resource));
		let failed = "this process stops";
		for (let tries = 0, pauseMs = this.#options.firstPauseMs ?? FIRST_PAUSE_MS; tries < TRIES; tries++, pauseMs *= 2) {
			if (this.#stopped.signal.aborted) return failed;
			const { refused, again, afterMs } = await this.#post(body);
			if (refused === undefined || !again) return refused;
			failed = refused;
			if (tries < TRIES - 1) await this.#pause(Math.min(afterMs ?? pauseMs, LONGEST_PAUSE_MS));
		}
		return failed;
	}

	async #post(body: string): Promise<{ readonly refused?: string; readonly again?: boolean; readonly afterMs?: number }> {
		const { endpoint, headers } = this.#options;
		try {
			const answer = await fetch(endpoint, {
				method: "POST",
				headers: { ...headers, "content-type": "application/json" },
				body,
				redirect: "error",
				signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(REQUEST_MS)]),
			});
			// Its body has nothing that would be done otherwise; read, it gives the connection back.
			await answer.arrayBuffer();
			if (answer.ok) return {};
			const seconds = Number(answer.headers.get("retry-after") ?? Number.NaN);
			return {
				refused: `the collector answered ${answer.status}`,
				again: RETRYABLE.has(answer.status),
				...(Number.isFinite(seconds) ? { afterMs: seconds * SECOND_MS } : {}),
			};
		} catch (error) {
			const { message, cause } = error as Error;
			return { refused: `the collector didn't answer: ${cause instanceof Error ? cause.message : message}`, again: true };
		}
	}

	async #pause(ms: number): Promise<void> {
		await pause(ms, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
	}
}
