import type { Bucket } from "@berth/bucket";
import { MINUTE_MS } from "@berth/contracts";
import type { PayloadPlace } from "./payload-place.js";

/** Payloads as objects of a bucket, below a name: for several nodes. What a bucket has acknowledged is durable there. */
export class PayloadBucket implements PayloadPlace {
	/** A list is a request for each thousand objects. */
	readonly countedForMs = MINUTE_MS;
	readonly #bucket: Bucket;
	readonly #directory: string;

	constructor(bucket: Bucket, name: string) {
		this.#bucket = bucket;
		this.#directory = `${name}/`;
	}

	put(key: string, bytes: Uint8Array): Promise<void> {
		return this.#bucket.put(this.#nameOf(key), bytes);
	}

	find(key: string): Promise<Buffer | undefined> {
		return this.#bucket.find(this.#nameOf(key));
	}

	has(key: string): Promise<boolean> {
		return this.#bucket.has(this.#nameOf(key));
	}

	remove(key: string): Promise<void> {
		return this.#bucket.remove(this.#nameOf(key));
	}

	names(): Promise<readonly string[]> {
		return this.#bucket.names(this.#directory);
	}

	adopt(other: PayloadPlace, theirs: string, key: string): Promise<boolean> {
		if (!(other instanceof PayloadBucket)) throw new TypeError("only objects become objects of another name");
		return this.#bucket.copy(other.#nameOf(theirs), this.#nameOf(key));
	}

	#nameOf(key: string): string {
		return this.#directory + key;
	}
}
