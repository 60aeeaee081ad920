import type {
	FailingVersion,
	ImageTransfer,
	LogFilter,
	NodeCommand,
	NodeInHand,
	NodeLoad,
	NodeStats,
	NodeTraits,
	ProjectEvent,
	Recovery,
	RuntimeClass,
	SandboxInfo,
	SharedMeans,
	TailedLine,
	TransferRequest,
} from "@berth/contracts";

/** A gateway that takes requests. */
export interface GatewayInfo {
	readonly id: string;
	readonly startedAtMs: number;
	/** Where workers of other machines reach it, `host:port`; absent: nowhere. */
	readonly address?: string;
	readonly shares?: SharedMeans;
}

/** What functions may ask for and a node can't give, and why, in a sentence each. */
export interface NodeLacks {
	/** For any network but its own. */
	readonly network?: string;
	readonly runtimeClasses: Readonly<Partial<Record<RuntimeClass, string>>>;
}

/** A node that can take invocations. */
export interface NodeInfo extends NodeTraits {
	readonly id: string;
	/** Changes with each start of the worker. */
	readonly incarnation: string;
	readonly startedAtMs: number;
	/** The incarnation whose lease was there when it joined, if any. */
	readonly replaced?: string | undefined;
	/** As of the last renewal. */
	readonly load?: NodeLoad;
	/** Absent: it hasn't said. */
	readonly lacks?: NodeLacks;
	/** It ends what it has, and is to be given nothing more. */
	readonly draining?: true;
	/** Beside that: another one takes its place in a moment, and what waits in its queue. */
	readonly returns?: true;
	/** What it understands of what gateways send: see `QUEUE_PROTOCOL`. Absent: 1. */
	readonly protocol?: number;
	/** What others have to have as it has it. */
	readonly shares?: SharedMeans;
}

/** What happened to a node, and the incarnation of it that this concerns. */
export interface NodeChange {
	/** It is listed no more; it has another incarnation now; it ends what it has and takes nothing more; it has handed back what it had taken and not begun. */
	readonly reason: "abandoned" | "restarted" | "draining" | "returned";
	readonly incarnation: string;
	/** What its machine calls itself, where it said so. */
	readonly host?: string;
}

/** A node that is listed no more: it was stopped, or its lease ended by itself. */
export interface GoneNode {
	readonly node: NodeInfo;
	readonly reason: "left" | "lost";
	readonly goneAtMs: number;
}

/** For lines that functions of a node printed. */
export interface LogQuestion {
	readonly kind: "logs";
	readonly filter: LogFilter;
	/** At most so many of those that are there. */
	readonly limit: number;
	readonly sinceMs?: number;
	/** The last line that is known: those after it. */
	readonly after?: string;
	/** Whoever follows has an id: the first time it is answered what is there, then what comes, within 4 s. */
	readonly follower?: string;
	readonly ends?: true;
}

/** Whose invocations' ends somebody watches. */
export interface EndsFilter {
	readonly project: string;
	readonly function?: string;
}

/** For ends of a node's attempts: what has come since the last time, within 4 s; the first time nothing. */
export interface EndsQuestion {
	readonly kind: "ends";
	readonly filter: EndsFilter;
	readonly follower: string;
	readonly ends?: true;
}

/** What a node answers to. */
export type NodeQuestion =
	| { readonly kind: "stats" }
	| { readonly kind: "sandboxes" }
	| { readonly kind: "metrics" }
	/** Begins to push or pull an image. */
	| { readonly kind: "startTransfer"; readonly request: TransferRequest }
	/** How far a transfer is, once its revision is past `after`, or after 4 s. */
	| { readonly kind: "transfer"; readonly project: string; readonly id: string; readonly after: number }
	/** Makes versions out of the images in the store. */
	| { readonly kind: "recover" }
	/** Makes a volume unless it is there; how many it made. */
	| { readonly kind: "makeVolume"; readonly volume: string; readonly sizeMiB: number }
	| { readonly kind: "removeVolume"; readonly volume: string }
	/** Whether it is drained, and what it has in hand; with `drains` it is from now on, or isn't any more. */
	| { readonly kind: "drain"; readonly drains?: boolean }
	| LogQuestion
	| EndsQuestion
	| Exclude<NodeCommand, { readonly kind: "evict" | "kill" }>
	/** With a project only a sandbox that has a function of it. */
	| { readonly kind: "kill"; readonly sandbox: string; readonly project?: string }
	| { readonly kind: "evict"; readonly project: string; readonly function: string };
export type NodeAnswer =
	| { readonly kind: "stats"; readonly stats: NodeStats }
	| { readonly kind: "sandboxes"; readonly sandboxes: readonly SandboxInfo[]; readonly failing: readonly FailingVersion[] }
	/** Prometheus text of the worker's registry. */
	| { readonly kind: "metrics"; readonly text: string }
	/** Absent: the node has none of that id. */
	| { readonly kind: "transfer"; readonly transfer?: ImageTransfer }
	| { readonly kind: "recovery"; readonly recovery: Recovery }
	/** `incomplete`: more came after the last line that was known than is here. */
	| { readonly kind: "logs"; readonly lines: readonly TailedLine[]; readonly dropped: number; readonly incomplete?: true }
	| { readonly kind: "ends"; readonly events: readonly ProjectEvent[]; readonly dropped: number }
	| { readonly kind: "drain"; readonly drain: NodeInHand }
	| { readonly kind: "done"; readonly affected: number }
	| { readonly kind: "refused"; readonly code: string; readonly detail: string };

/** Which nodes there are, from a gateway. Kept fresh in memory: reading it costs nothing. */
export interface NodeDirectory {
	nodes(): readonly NodeInfo[];
	/** Those that it saw go within the hour, 32 at most, the last first. */
	gone(): readonly GoneNode[];
	/** Why nodes that live may be missing from the list, in a sentence: it is the fast Redis' fault then, and not theirs. Undefined: none is. */
	unlisted(): string | undefined;
	/** The gateways that there are, this one with them. @throws BerthError `unavailable` */
	gateways(): Promise<readonly GatewayInfo[]>;
	/** @throws BerthError `unavailable` when the node doesn't answer in time (default 5 s) */
	ask(node: string, question: NodeQuestion, timeoutMs?: number): Promise<NodeAnswer>;
	close(): Promise<void>;
}

/** A worker's own entry in the directory: a lease of 10 s, renewed every 3 s. */
export interface NodeMembership {
	/**
	 * @param load what it holds now: said with each renewal. Default: nothing is said
	 * @throws Error when another machine has something else that all have to share, or has this id and goes on renewing its lease
	 */
	join(node: NodeInfo, answer: (question: NodeQuestion) => Promise<NodeAnswer>, load?: () => NodeLoad): Promise<void>;
	/** All that have a live lease, this one with them once it has joined. */
	nodes(): Promise<readonly NodeInfo[]>;
	/** Where gateways are reached from any machine, `host:port`, in an order of chance; as of the last renewal, or news. */
	gateways(): readonly string[];
	/** Whether it takes nothing new, as an operator had it before this start, or has it now. */
	readonly isDraining: boolean;
	/** An operator's word: it is to be given nothing new, until it is said otherwise, also over starts of its worker. @throws BerthError `unavailable` when it is to take work and stops */
	setDrained(isDrained: boolean): Promise<void>;
	/** Says that this node ends what it has and is to be given nothing more. @param returns another one takes its place in a moment */
	drain(returns?: boolean): Promise<void>;
	leave(): Promise<void>;
}
