import { isUtf8 } from "node:buffer";
import { BerthError, type BodyReference, INLINE_BODY_BYTES } from "@berth/contracts";
import { checkedKey, factsOf, keyOfName, newKey } from "./payload-key.js";
import { type PayloadPlace, removeAll } from "./payload-place.js";
import type { PayloadRoom } from "./payload-room.js";

/**
 * How long a payload has to last: `durable` ones survive a power cut when `put` resolves, because something that was
 * acknowledged leads to them; `fleeting` ones go with the caller who waits.
 */
export type Durability = "durable" | "fleeting";

/** A payload, and the invocation that it was put for. */
export interface HeldPayload {
	readonly payload: string;
	readonly invocation: string;
}

/** Bytes that are too large for a message, under random keys. */
export class PayloadStore {
	readonly #place: PayloadPlace;
	readonly #room: PayloadRoom | undefined;

	/** @param room none: as much as comes */
	constructor(place: PayloadPlace, room?: PayloadRoom) {
		this.#place = place;
		this.#room = room;
	}

	/** What it holds of its budget; undefined where it has none. */
	get figures(): PayloadRoom["figures"] | undefined {
		return this.#room?.figures;
	}

	/**
	 * It is there whole, or not yet.
	 * @param of the invocation that it is for: its name says so
	 * @throws BerthError `storage_full` when the disk is full, or the store of what somebody still needs; `unavailable` when it is elsewhere, and away
	 */
	async put(bytes: Uint8Array, durability: Durability = "fleeting", of?: string): Promise<string> {
		const key = newKey(bytes.byteLength, { of });
		await this.#fill(key, () => this.#place.put(key, bytes, durability === "durable"));
		return key;
	}

	/** A key for what will be put by and by, if anything: something may lead to it before. It counts with all that it may have. */
	reserve(mostBytes: number): string {
		return newKey(mostBytes);
	}

	/** Puts what a key was reserved for. @throws BerthError as `put` */
	async putReserved(key: string, bytes: Uint8Array): Promise<void> {
		await this.#fill(checkedKey(key), () => this.#place.put(key, bytes, false));
	}

	/** @throws BerthError `platform_error` when there is none, or the key isn't one */
	async get(key: string): Promise<Buffer> {
		const bytes = await this.find(key);
		if (bytes === undefined) throw new BerthError("platform_error", `There is no payload ${key} in the artifact store.`);
		return bytes;
	}

	/** Undefined when it is gone. @throws BerthError `platform_error` when the key isn't one, `unavailable` */
	async find(key: string): Promise<Buffer | undefined> {
		return await this.#place.find(checkedKey(key));
	}

	async has(key: string): Promise<boolean> {
		return await this.#place.has(checkedKey(key));
	}

	/** Idempotent. */
	async remove(key: string): Promise<void> {
		await this.#place.remove(checkedKey(key));
		this.#room?.gone(key);
	}

	/** Removes these, several at a time; idempotent. */
	async removeAll(keys: readonly string[]): Promise<void> {
		await removeAll(this.#place, keys.map(checkedKey), (key) => this.#room?.gone(key));
	}

	/** Bytes as a body: in the message when they are few, else a payload. @throws BerthError as `put` */
	async putBody(
		bytes: Uint8Array,
		durability: Durability = "fleeting",
		inlineBytes: number = INLINE_BODY_BYTES,
		of?: string,
	): Promise<BodyReference> {
		if (bytes.byteLength > inlineBytes) return { payload: await this.put(bytes, durability, of), sizeBytes: bytes.byteLength };
		const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		return isUtf8(buffer) ? { text: buffer.toString("utf8") } : { base64: buffer.toString("base64") };
	}

	/**
	 * A body that another store has becomes one of this store as well, without its bytes being written again; one that isn't a payload stays as it is.
	 * @param options.of as `put` has it
	 * @param options.laterMs counts as written by that much later: it is kept for longer
	 * @throws BerthError `platform_error` when the other store hasn't got it
	 */
	async adoptBody(
		other: PayloadStore,
		body: BodyReference,
		{
			laterMs = 0,
			durability = "fleeting",
			of,
		}: { readonly laterMs?: number; readonly durability?: Durability; readonly of?: string } = {},
	): Promise<BodyReference> {
		if (!("payload" in body)) return body;
		const theirs = checkedKey(body.payload);
		const key = newKey(body.sizeBytes, { atMs: Date.now() + laterMs, of });
		await this.#fill(key, async () => {
			if (!(await this.#place.adopt(other.#place, theirs, key, durability === "durable")))
				throw new BerthError("platform_error", `There is no payload ${theirs} in the artifact store.`);
		});
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

	/** Removes payloads that were written more than `olderThanMs` ago; how many. What isn't one stays: whoever put it there may know why. */
	async sweep(olderThanMs: number): Promise<number> {
		const before = Date.now() - olderThanMs;
		const old = (await this.#place.names()).filter((name) => (factsOf(name)?.writtenAtMs ?? before + 1) <= before);
		await removeAll(this.#place, old, (name) => this.#room?.gone(name));
		return old.length;
	}

	/** What was put more than `olderThanMs` ago and says for which invocation. */
	async heldFor(olderThanMs: number): Promise<readonly HeldPayload[]> {
		const before = Date.now() - olderThanMs;
		return (await this.#place.names()).flatMap((payload) => {
			const { of, writtenAtMs } = factsOf(payload) ?? {};
			return of === undefined || writtenAtMs === undefined || writtenAtMs > before || payload !== keyOfName(payload)
				? []
				: [{ payload, invocation: of }];
		});
	}

	/** Counts in what it writes, once there is room. */
	async #fill(key: string, write: () => Promise<void>): Promise<void> {
		await this.#room?.admit(key);
		try {
			await write();
			this.#room?.arrived(key);
		} catch (error) {
			this.#room?.gone(key);
			throw error;
		}
	}
}
