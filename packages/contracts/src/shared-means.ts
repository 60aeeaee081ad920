/** What all machines of a stack have to share beside its Redis servers, as each of them says it. Nothing of it is secret. */
export interface SharedMeans {
	/** Of one data directory on one machine. */
	readonly machine: string;
	/** Whether it is set up to have others beside it. */
	readonly hasPeers: boolean;
	/** What tells the stack of its durable Redis from others; absent: of a version before. */
	readonly stack?: string;
	/** Where large bodies and sources are. */
	readonly payloads: string;
	/** The image repository; empty: none. */
	readonly images: string;
	/** What tells the keys apart that it opens secrets with (`sealingKeyId`); the first one seals. */
	readonly keys: readonly string[];
}

/** Why two machines can't be of one stack, and which setting mends it; undefined when they can. @param other what the other one is called */
export function unsharedBetween(ours: SharedMeans, theirs: SharedMeans, other: string): string | undefined {
	if (ours.machine === theirs.machine) return undefined;
	if (ours.stack !== undefined && theirs.stack !== undefined && ours.stack !== theirs.stack)
		return `the durable Redis is that of stack ${ours.stack} here, and of stack ${theirs.stack} for ${other}, whose fast Redis this is: BERTH_DURABLE_REDIS_URL and BERTH_FAST_REDIS_URL have to name the same two servers on every machine. Where the durable one lost what it had, stop all machines first`;
	if (ours.payloads !== theirs.payloads)
		return `large bodies and sources are in ${ours.payloads} here, and in ${theirs.payloads} for ${other}: BERTH_PAYLOAD_STORE has to name the same bucket on every machine`;
	if (ours.images !== theirs.images)
		return `the image repository is ${ours.images || "none"} here, and ${theirs.images || "none"} for ${other}: BERTH_IMAGE_REPOSITORY has to name the same one on every machine`;
	if (!opens(ours, theirs) || !opens(theirs, ours))
		return `secrets are sealed with the key ${ours.keys[0]} here, and with ${theirs.keys[0]} by ${other}: BERTH_SECRETS_KEY (or secrets.key) has to be the same on every machine, and while it is changed both keys`;
	if (!ours.hasPeers || !theirs.hasPeers)
		return `${other} uses the same Redis servers, and ${ours.hasPeers ? "it" : "this machine"} isn't set up to have others beside it: BERTH_INTERNAL_HOST says where workers reach a machine's gateway, BERTH_ROLES what a machine is`;
	return undefined;
}

const opens = ({ keys }: SharedMeans, { keys: [first] }: SharedMeans) => first === undefined || keys.includes(first);
