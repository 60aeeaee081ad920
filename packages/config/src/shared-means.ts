import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { SharedMeans } from "@berth/contracts";
import type { Settings } from "./settings.js";

const NODE_ID = /^node_[0-9a-f]{16}\n?$/;

/**
 * A machine's id as a node, which its data directory keeps: the same for every worker that was ever started there.
 * @throws Error naming the file when something else stands in it
 */
export function nodeIdOf({ dataDir, paths }: Pick<Settings, "dataDir" | "paths">): string {
	let text: string;
	try {
		text = readFileSync(paths.nodeId, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		return nodeIdBefore(dataDir);
	}
	if (!NODE_ID.test(text))
		throw new Error(`${paths.nodeId} has no id of a node (node_ and 16 hex digits): put it back, or remove it and it is another node`);
	return text.trim();
}

/** What it was while nothing kept it. */
export function nodeIdBefore(dataDir: string): string {
	return `node_${createHash("sha256").update(`${hostname()} ${dataDir}`).digest("hex").slice(0, 16)}`;
}

/** What this machine would share with others. @param stack of its durable Redis @param keys of secrets (`sealingKeyId`), the one that seals first */
export function sharedMeansOf(settings: Settings, stack: string, keys: readonly string[]): SharedMeans {
	const { payloadStore: store, imageRepository: images, dataDir, hasPeers } = settings;
	return {
		machine: nodeIdOf(settings),
		hasPeers,
		stack,
		payloads: store === undefined ? `directories of ${hostname()} (${dataDir})` : `${store.endpoint}/${store.bucket}/${store.prefix}`,
		images: images === undefined ? "" : `${images.host}/${images.name}`,
		keys,
	};
}
