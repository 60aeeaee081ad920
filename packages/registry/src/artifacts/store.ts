import { join } from "node:path";
import { Bucket, type BucketPlace } from "@berth/bucket";
import type { BlobOrigin } from "./blob-origin.js";
import { Deposit, removeUnfinished } from "./deposit.js";
import { FunctionStore } from "./function-store.js";
import { ImageStore } from "./image-store.js";
import { KeyStore } from "./key-store.js";
import { PayloadBucket } from "./payload-bucket.js";
import { PayloadDirectory } from "./payload-directory.js";
import { type PayloadBudget, PayloadRoom } from "./payload-room.js";
import { PayloadStore } from "./payload-store.js";
import { SourceBucket } from "./source-bucket.js";
import { SourceDirectory, type SourceStore } from "./source-store.js";

/**
 * Everything of a deployment that isn't a record: sources and images by digest, what was built from
 * which inputs, and bodies and logs that are too large for a message or a record. One directory; several processes may
 * open it, but only one of them (the node's worker) tags and collects images.
 */
export interface ArtifactStore {
	readonly sources: SourceStore;
	/** Request and response bodies that somebody waits with: no more than invocations may be in flight. */
	readonly payloads: PayloadStore;
	/** Request bodies of background invocations, until those are settled. */
	readonly queued: PayloadStore;
	/** Request bodies of settled background invocations, for replays; their records lead to them. */
	readonly requests: PayloadStore;
	/** Response bodies of background invocations; their records lead to them. */
	readonly results: PayloadStore;
	/** Logs; records lead to them. */
	readonly logs: PayloadStore;
	/** Bodies of deliveries to hooks; the hooks' logs lead to them. */
	readonly deliveries: PayloadStore;
	readonly images: ImageStore;
	readonly keys: KeyStore;
	/** Copies of what the durable Redis says of functions, aliases above all. */
	readonly functions: FunctionStore;
}

export interface ArtifactStoreOptions {
	/** Numeric user and group that own what is written. Default: the process's own; anything else takes root. */
	readonly owner?: number;
	/** What may be held on disk for invocations, bytes. Default: as much as comes. */
	readonly budgets?: StorageBudgets;
	/** Where what waits in the background, and what came of it, is kept. Default: on disk, which is one node's. */
	readonly bucket?: BucketPlace;
	/** Whether sources, and bodies that somebody waits with, are there, too: other machines want them. */
	readonly hasPeers?: boolean;
	/** Told of payloads that couldn't be counted, or removed for newer ones, while nobody waited for it. Default: whoever waits for it next is. */
	readonly onTrouble?: (error: unknown) => void;
	/** What is asked for blobs of images that are missing or corrupt. Default: nobody. */
	readonly origin?: BlobOrigin;
}

/** How many bytes each store may hold. */
export interface StorageBudgets {
	readonly queuedBytes: number;
	readonly requestBytes: number;
	readonly resultBytes: number;
	readonly logBytes: number;
	readonly deliveryBytes: number;
}

const incomingOf = (directory: string) => join(directory, "incoming");

/** For a process that ends in the middle of its work: what it hadn't put in place yet goes. The next to open the store removes it otherwise. */
export function abandonArtifacts(directory: string): void {
	removeUnfinished(incomingOf(directory));
}

/** Opens the store, makes its directories where they are missing, and removes what a crashed process left half-written. */
export async function openArtifactStore(directory: string, options: ArtifactStoreOptions = {}): Promise<ArtifactStore> {
	const deposit = await Deposit.open(incomingOf(directory), options.owner);
	const { budgets, onTrouble = () => undefined } = options;
	const bucket = options.bucket && new Bucket(options.bucket);
	const shared = options.hasPeers === true ? bucket : undefined;
	const placeOf = async (name: string) =>
		bucket === undefined ? await PayloadDirectory.open(join(directory, name), deposit) : new PayloadBucket(bucket, name);
	const openPayloads = async (name: string, bytes: number | undefined, whenFull: PayloadBudget["whenFull"]) => {
		const place = await placeOf(name);
		if (bytes === undefined) return new PayloadStore(place);
		const room = new PayloadRoom(place, { bytes, whenFull }, onTrouble);
		room.begin();
		return new PayloadStore(place, room);
	};
	return Object.freeze({
		sources: shared === undefined ? await SourceDirectory.open(join(directory, "sources", "sha256"), deposit) : new SourceBucket(shared),
		payloads: new PayloadStore(
			shared === undefined ? await PayloadDirectory.open(join(directory, "payloads"), deposit) : new PayloadBucket(shared, "payloads"),
		),
		queued: await openPayloads("queued", budgets?.queuedBytes, "refuse"),
		requests: await openPayloads("requests", budgets?.requestBytes, "remove oldest"),
		results: await openPayloads("results", budgets?.resultBytes, "remove oldest"),
		logs: await openPayloads("logs", budgets?.logBytes, "remove oldest"),
		deliveries: await openPayloads("deliveries", budgets?.deliveryBytes, "remove oldest"),
		images: await ImageStore.open(join(directory, "oci"), deposit, options.origin),
		keys: await KeyStore.open(join(directory, "keys"), deposit),
		functions: await FunctionStore.open(join(directory, "functions"), deposit),
	});
}
