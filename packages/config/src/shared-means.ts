import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { SharedMeans } from "@berth/contracts";
import type { Settings } from "./settings.js";

/** A machine's id as a node: the same for every worker that was ever started on this data directory of it. */
export function nodeIdOf({ dataDir }: Pick<Settings, "dataDir">): string {
	return `node_${createHash("sha256").update(`${hostname()} ${dataDir}`).digest("hex").slice(0, 16)}`;
}

/** What this machine would share with others. @param keys of secrets (`sealingKeyId`), the one that seals first */
export function sharedMeansOf(settings: Settings, keys: readonly string[]): SharedMeans {
	const { payloadStore: store, imageRepository: images, dataDir, hasPeers } = settings;
	return {
		machine: nodeIdOf(settings),
		hasPeers,
		payloads: store === undefined ? `directories of ${hostname()} (${dataDir})` : `${store.endpoint}/${store.bucket}/${store.prefix}`,
		images: images === undefined ? "" : `${images.host}/${images.name}`,
		keys,
	};
}
