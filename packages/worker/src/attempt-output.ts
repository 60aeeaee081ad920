import { BACKGROUND_INLINE_BYTES, type InvocationResult, type LogBook } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import type { ArtifactStore } from "@berth/registry";
import type { SandboxResult } from "@berth/sandbox";
import { beginningOf, LateLogs } from "./late-logs.js";

/** Logs up to this size stay in the record, bytes of JSON. */
const INLINE_LOG_BYTES = 8 * 1024;

/** What attempts leave: results and logs, in their records while they are small, else on disk. */
export class AttemptOutput {
	readonly #artifacts: Pick<ArtifactStore, "payloads" | "results" | "logs">;
	readonly #lateLogs: LateLogs;
	readonly #onTrouble: (message: string, error: unknown) => void;

	/** @param onTrouble told of what costs an attempt no more than a part of its log */
	constructor(artifacts: Pick<ArtifactStore, "payloads" | "results" | "logs">, onTrouble: (message: string, error: unknown) => void) {
		this.#artifacts = artifacts;
		this.#lateLogs = new LateLogs(artifacts.logs, onTrouble);
		this.#onTrouble = onTrouble;
	}

	/** Headers are for who waits: nobody is given those of a background result. */
	async resultOf({ head, body }: NonNullable<SandboxResult["answer"]>, { lane }: Delivery): Promise<InvocationResult> {
		const { payloads, results } = this.#artifacts;
		return {
			body:
				lane === "background" ? await results.putBody(body, "durable", BACKGROUND_INLINE_BYTES) : await payloads.putBody(body, "fleeting"),
			...(head.contentType === undefined ? {} : { contentType: head.contentType }),
			...(head.response === undefined ? {} : { response: lane === "background" ? { ...head.response, headers: [] } : head.response }),
		};
	}

	/** With where that will be what is printed after the answer, if anything may be. */
	async logsOf(delivery: Delivery, { log, after }: SandboxResult): Promise<LogBook | undefined> {
		return await this.logBook(delivery, log, after && this.#lateLogs.keep(after));
	}

	/** @param after where what is printed after the answer will be */
	async logBook({ lane }: Delivery, { lines, truncated }: SandboxResult["log"], after?: string): Promise<LogBook | undefined> {
		if (lines.length === 0 && !truncated && after === undefined) return undefined;
		const more = after === undefined ? {} : { after };
		const bytes = Buffer.from(JSON.stringify(lines));
		const inlineBytes = lane === "background" ? BACKGROUND_INLINE_BYTES : INLINE_LOG_BYTES;
		if (bytes.byteLength <= inlineBytes) return { lines, truncated, ...more };
		try {
			return { payload: await this.#artifacts.logs.put(bytes), truncated, ...more };
		} catch (error) {
			// Nobody's answer is lost for it: the beginning has room in the record.
			this.#onTrouble("a log couldn't be stored", error);
			return { lines: beginningOf(lines, inlineBytes), truncated: true, ...more };
		}
	}
}
