import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "@berth/redis";
import { nodeLeaseOf } from "./keys.js";
import { NODE_RENEWAL_MS } from "./node-channels.js";
import type { NodeInfo } from "./node-ports.js";

/** How a worker makes sure that its id is nobody else's. */
export interface NodeClaim {
	/** The incarnation that this data directory's worker had last: its lease may be there yet. */
	readonly earlier?: string | undefined;
	/** What keeps the id, as a message names it. */
	readonly file: string;
	/** Another machine goes on renewing this id's lease: this worker, the later one, has to end. */
	readonly onClash: (why: string) => void;
}

const LOOK_MS = 250;
/** One renewal that comes late, and one more. */
const WATCHED_MS = 2 * NODE_RENEWAL_MS + 1000;
/** A renewal may have been on its way when its worker was killed; not two, one after the other. */
const RENEWALS_TOLD = 2;

/** Waits only where a lease is there which isn't this machine's. @throws Error when it is renewed: somebody lives by this id */
export async function requireUnclaimed(redis: Redis, node: NodeInfo, { earlier, file }: NodeClaim): Promise<void> {
	const key = nodeLeaseOf(node.id);
	const found = leaseIn(await redis.get(key));
	if (found === undefined || found.incarnation === earlier || found.returns === true) return;
	let left = await redis.pttl(key);
	for (const endsAt = performance.now() + WATCHED_MS; left > 0 && performance.now() < endsAt; ) {
		await pause(LOOK_MS);
		const now = await redis.pttl(key);
		if (now > left) throw new Error(clashText(node, leaseIn(await redis.get(key)) ?? found, file));
		left = now;
	}
}

/** Sees in what a renewal replaced whether somebody else renews the same id. */
export class ClaimWatch {
	readonly #claim: NodeClaim;
	readonly #seen = new Map<string, number>();
	/** Whose lease this worker replaced when it joined. */
	#replaced: string | undefined;
	#joined = false;

	constructor(claim: NodeClaim) {
		this.#claim = claim;
	}

	/** @param text the lease as it was before this renewal */
	renewed(node: NodeInfo, text: string | null): void {
		const before = leaseIn(text);
		if (!this.#joined) this.#replaced = before?.incarnation;
		this.#joined = true;
		if (before === undefined || before.incarnation === node.incarnation) return;
		const times = (this.#seen.get(before.incarnation) ?? -(before.incarnation === this.#replaced ? 1 : 0)) + 1;
		this.#seen.set(before.incarnation, times);
		if (times === RENEWALS_TOLD && this.#isLater(node, before)) this.#claim.onClash(clashText(node, before, this.#claim.file));
	}

	/** Of two the one that came later ends: who replaced the other's lease; where the leases never met, by their starts. */
	#isLater(node: NodeInfo, other: NodeInfo): boolean {
		if (other.incarnation === this.#replaced) return true;
		if (other.replaced === node.incarnation) return false;
		return node.startedAtMs > other.startedAtMs || (node.startedAtMs === other.startedAtMs && node.incarnation > other.incarnation);
	}

	get replaced(): string | undefined {
		return this.#replaced;
	}
}

function leaseIn(text: string | null): NodeInfo | undefined {
	return text === null ? undefined : (JSON.parse(text) as NodeInfo);
}

function clashText({ id }: NodeInfo, { host }: NodeInfo, file: string): string {
	const where = host === undefined ? "another machine" : `another machine (${host})`;
	return `${where} is the node ${id}, too, and its worker lives: one of both is a copy. Remove ${file} on the copy, and start it again: it gets an id of its own`;
}
