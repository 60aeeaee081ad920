/** A named network of a project: functions on it reach each other by their names. */
export interface Network {
	readonly name: string;
	/** ISO 8601. */
	readonly createdAt: string;
	/** Functions with a version on it that hasn't failed, by name. */
	readonly functions: readonly string[];
}

/** `GET /v1/networks` */
export interface NetworkList {
	readonly networks: readonly Network[];
}

/** Networks of one project. */
export const MOST_NETWORKS = 100;

/** Tells a function which other one of its project asks, over their network. Nobody else can say it. */
export const CALLER_HEADER = "berth-caller";

/** A worker's word to its gateway about a request that came over a network of functions, as JSON in this header. */
export const JOINED_HEADER = "berth-joined";
export interface JoinedHead {
	readonly project: string;
	readonly network: string;
	/** The function that asks. */
	readonly caller: string;
	/** The function that is asked. */
	readonly function: string;
	/** How many invocations the asked one comes of, the asking one included. */
	readonly depth: number;
	/** The invocation that asks, while it isn't answered yet. */
	readonly parent?: string;
	/** When that one is killed, milliseconds since the epoch: who is asked has no longer. */
	readonly deadlineMs?: number;
}
