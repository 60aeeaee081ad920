import { KIB, type LogLine } from "@berth/contracts";
import type { PayloadStore } from "@berth/registry";
import type { SandboxResult } from "@berth/sandbox";

/** A log of what came after an answer takes no more room, bytes of JSON. */
const LATE_LOG_BYTES = 96 * KIB;

/**
 * What was printed after an answer, by what was given to `waitUntil`: the record is written by then, and says where it will be.
 */
export class LateLogs {
	readonly #store: PayloadStore;
	readonly #onTrouble: (message: string, error: unknown) => void;

	constructor(store: PayloadStore, onTrouble: (message: string, error: unknown) => void) {
		this.#store = store;
		this.#onTrouble = onTrouble;
	}

	/** @returns the key that it will have in the store, if there is anything */
	keep(log: NonNullable<SandboxResult["after"]>): string {
		const key = this.#store.reserve(LATE_LOG_BYTES);
		log.then(({ lines }) => this.#put(key, lines)).catch((error: unknown) => this.#onTrouble("a log couldn't be stored", error));
		return key;
	}

	async #put(key: string, lines: readonly LogLine[]): Promise<void> {
		if (lines.length === 0) return;
		await this.#store.putReserved(key, Buffer.from(JSON.stringify(beginningOf(lines, LATE_LOG_BYTES - 2))));
	}
}

/** As many lines as have room in so many bytes of JSON. */
export function beginningOf(lines: readonly LogLine[], bytes: number): readonly LogLine[] {
	let left = bytes;
	const end = lines.findIndex((line) => {
		left -= Buffer.byteLength(JSON.stringify(line)) + 1;
		return left < 0;
	});
	return lines.slice(0, end < 0 ? lines.length : end);
}
