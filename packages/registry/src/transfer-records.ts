import type { ImageTransfer } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { keys } from "./keys.js";

/** How long a transfer is on record after its end, seconds; and one that runs, since its node said so last. */
const KEPT_S = { ended: 3600, running: 7 * 24 * 3600 } as const;

/** A transfer that runs, as a node takes it up again. */
export interface RunningTransfer {
	readonly transfer: ImageTransfer;
	/** How often it was begun. */
	readonly starts: number;
	/** The version's number that a pull has taken. */
	readonly number?: number;
}

/** Pushes and pulls that were asked for, in the durable Redis: those that run are their node's to take up again when it was restarted. */
export class TransferRecords {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** Durable when it resolves. */
	async running(node: string, record: RunningTransfer): Promise<void> {
		const { id } = record.transfer;
		await guarded(this.#redis, "recording a transfer", () =>
			this.#redis.multi().set(keys.transfer(id), JSON.stringify(record), "EX", KEPT_S.running).sadd(keys.transfersOf(node), id).exec(),
		);
	}

	async ended(node: string, transfer: ImageTransfer): Promise<void> {
		await guarded(this.#redis, "recording a transfer", () =>
			this.#redis
				.multi()
				.set(keys.transfer(transfer.id), JSON.stringify({ transfer }), "EX", KEPT_S.ended)
				.srem(keys.transfersOf(node), transfer.id)
				.exec(),
		);
	}

	/** As it was recorded last. */
	async get(project: string, id: string): Promise<ImageTransfer | undefined> {
		const text = await guarded(this.#redis, "reading a transfer", () => this.#redis.get(keys.transfer(id)));
		const transfer = text === null ? undefined : (JSON.parse(text) as RunningTransfer).transfer;
		return transfer?.project === project ? transfer : undefined;
	}

	/** Those that a node has begun and not ended. */
	async unfinished(node: string): Promise<readonly RunningTransfer[]> {
		return await guarded(this.#redis, "reading transfers", async () => {
			const ids = await this.#redis.smembers(keys.transfersOf(node));
			const texts = ids.length === 0 ? [] : await this.#redis.mget(ids.map((id) => keys.transfer(id)));
			const gone = ids.filter((_, at) => texts[at] === null);
			if (gone.length > 0) await this.#redis.srem(keys.transfersOf(node), ...gone);
			return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as RunningTransfer]));
		});
	}
}
