import { isUtf8 } from "node:buffer";
import { randomBytes } from "node:crypto";
import { BerthError, type BodyReference, INLINE_BODY_BYTES, MIB, SECOND_MS } from "@berth/contracts";
import type { PayloadPlace } from "./payload-place.js";

/** When it was written (milliseconds) and its bytes, 12 and 8 hex digits, then chance: names alone say what a store holds. */
const KEY = /^([0-9a-f]{12})-([0-9a-f]{8})-[0-9a-f]{16}$/;
/** How long a count is good for by which a payload doesn't fit. */
const FULL_FOR_MS = SECOND_MS;
/** What is left when the oldest had to go: below the budget, so that the next one doesn't begin it again. */
const LEFT_OF_BUDGET = 0.9;

/**
 * How long a payload has to last: `durable` ones survive a power cut when `put` resolves, because something that was
 * acknowledged leads to them; `fleeting` ones go with the caller who waits.
 */
export type Durability = "durable" | "fleeting";

/** How much a store may hold. Processes that share it may go beyond by what they write within some seconds. */
export interface PayloadBudget {
	readonly bytes: number;
	/** `refuse`: somebody still needs what is there, so nothing more is taken. `remove oldest`: what is there may be missed. */
	readonly whenFull: "refuse" | "remove oldest";
}

/** Bytes that are too large for a message, under random keys. */
export class PayloadStore {
	readonly #place: PayloadPlace;
	readonly #budget: PayloadBudget | undefined;
	/** What the store held when it was counted, and what was put since. */
	#bytes = 0;
	#countedAtMs = Number.NEGATIVE_INFINITY;
	#counting: Promise<void> | undefined;
	#removing: Promise<void> | undefined;

	/** @param budget none: as much as comes */
	constructor(place: PayloadPlace, budget?: PayloadBudget) {
		this.#place = place;
		this.#budget = budget;
	}

	/**
	 * It is there whole, or not yet.
	 * @throws BerthError `storage_full` when the disk is full, or the store of what somebody still needs; `unavailable` when it is elsewhere, and away
	 */
	async put(bytes: Uint8Array, durability: Durability = "fleeting"): Promise<string> {
		if (this.#budget !== undefined) await this.#admit(bytes.byteLength, this.#budget);
		const key = keyOf(bytes.byteLength);
		await this.#place.put(key, bytes, durability === "durable");
		return key;
	}

	/** A key for what will be put by and by, if anything: something may lead to it before. It counts with all that it may have. */
	reserve(mostBytes: number): string {
		return keyOf(mostBytes);
	}

	/** Puts what a key was reserved for. @throws BerthError as `put` */
	async putReserved(key: string, bytes: Uint8Array): Promise<void> {
		if (this.#budget !== undefined) await this.#admit(factsOf(key)?.bytes ?? 0, this.#budget);
		await this.#place.put(checked(key), bytes, false);
	}

	/** @throws BerthError `platform_error` when there is none, or the key isn't one */
	async get(key: string): Promise<Buffer> {
		const bytes = await this.find(key);
		if (bytes === undefined) throw new BerthError("platform_error", `There is no payload ${key} in the artifact store.`);
		return bytes;
	}

	/** Undefined when it is gone. @throws BerthError `platform_error` when the key isn't one, `unavailable` */
	async find(key: string): Promise<Buffer | undefined> {
		return await this.#place.find(checked(key));
	}

	async has(key: string): Promise<boolean> {
		return await this.#place.has(checked(key));
	}

	/** Idempotent. */
	async remove(key: string): Promise<void> {
		await this.#place.remove(checked(key));
	}

	/** Bytes as a body: in the message when they are few, else a payload. @throws BerthError as `put` */
	async putBody(bytes: Uint8Array, durability: Durability = "fleeting", inlineBytes: number = INLINE_BODY_BYTES): Promise<BodyReference> {
		if (bytes.byteLength > inlineBytes) return { payload: await this.put(bytes, durability), sizeBytes: bytes.byteLength };
		const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		return isUtf8(buffer) ? { text: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
	}

	/**
	 * A body that another store has becomes one of this store as well, without its bytes being written again; one that isn't a payload stays as it is.
	 * @param options.laterMs counts as written by that much later: it is kept for longer
	 * @throws BerthError `platform_error` when the other store hasn't got it
	 */
	async adoptBody(
		other: PayloadStore,
		body: BodyReference,
		{ laterMs = 0, durability = "fleeting" }: { readonly laterMs?: number; readonly durability?: Durability } = {},
	): Promise<BodyReference> {
		if (!("payload" in body)) return body;
		if (this.#budget !== undefined) await this.#admit(body.sizeBytes, this.#budget);
		const key = keyOf(body.sizeBytes, Date.now() + laterMs);
		if (!(await this.#place.adopt(other.#place, checked(body.payload), key, durability === "durable")))
			throw new BerthError("platform_error", `There is no payload ${body.payload} in the artifact store.`);
		return { payload: key, sizeBytes: body.sizeBytes };
	}

	/** The bytes of a body, wherever they are. A payload stays: an attempt may be tried again. @throws BerthError as `get` */
	async getBody(body: BodyReference): Promise<Buffer> {
		if ("payload" in body) return await this.get(body.payload);
		return "text" in body ? Buffer.from(body.text) : Buffer.from(body.base64, "base64");
	}

	/** Frees what a body has here; idempotent. */
	async removeBody(body: BodyReference): Promise<void> {
		if ("payload" in body) await this.remove(body.payload);
	}

	/** Removes payloads that were written more than `olderThanMs` ago, and what isn't one; how many. */
	async sweep(olderThanMs: number): Promise<number> {
		const before = Date.now() - olderThanMs;
		const old = (await this.#place.names()).filter((name) => (factsOf(name)?.writtenAtMs ?? 0) <= before);
		for (const name of old) await this.#place.remove(name);
		return old.length;
	}

	/** Counts in what is about to be written, when there is room or room was made. */
	async #admit(bytes: number, budget: PayloadBudget): Promise<void> {
		if (this.#age() > this.#place.countedForMs) await this.#count();
		const isFull = () => this.#bytes + bytes > budget.bytes;
		if (isFull() && this.#age() > FULL_FOR_MS) await this.#count();
		if (isFull() && budget.whenFull === "refuse") {
			throw new BerthError("storage_full", `${Math.floor(budget.bytes / MIB)} MiB of bodies wait to be run already; try again later`);
		}
		// Others who waited for the same room may have taken it.
		while (isFull()) await this.#makeRoom(budget.bytes * LEFT_OF_BUDGET - bytes);
		this.#bytes += bytes;
	}

	#age(): number {
		return performance.now() - this.#countedAtMs;
	}

	#count(): Promise<void> {
		this.#counting ??= this.#countNames().finally(() => {
			this.#counting = undefined;
		});
		return this.#counting;
	}

	async #countNames(): Promise<void> {
		const names = await this.#place.names();
		this.#bytes = names.reduce((sum, name) => sum + (factsOf(name)?.bytes ?? 0), 0);
		this.#countedAtMs = performance.now();
	}

	#makeRoom(left: number): Promise<void> {
		this.#removing ??= this.#removeOldest(left).finally(() => {
			this.#removing = undefined;
		});
		return this.#removing;
	}

	async #removeOldest(left: number): Promise<void> {
		await this.#count();
		for (const name of await this.#place.names()) {
			if (this.#bytes <= left) return;
			await this.#place.remove(name);
			this.#bytes -= factsOf(name)?.bytes ?? 0;
		}
	}
}

/** @throws BerthError `platform_error` when it isn't the key of a payload: it never leads elsewhere */
function checked(key: string): string {
	if (!KEY.test(key)) throw new BerthError("platform_error", `${JSON.stringify(key)} isn't the key of a payload.`);
	return key;
}

function keyOf(bytes: number, nowMs = Date.now()): string {
	const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
	return `${hex(nowMs, 12)}-${hex(bytes, 8)}-${randomBytes(8).toString("hex")}`;
}

function factsOf(name: string): { readonly writtenAtMs: number; readonly bytes: number } | undefined {
	// One that is being written has its time and size already.
	const [, time, bytes] = KEY.exec(name.replace(/\.part$/, "")) ?? [];
	return time === undefined || bytes === undefined
		? undefined
		: { writtenAtMs: Number.parseInt(time, 16), bytes: Number.parseInt(bytes, 16) };
}
