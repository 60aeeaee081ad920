import type { SentinelPair } from "@berth/redis/testing";

/** What becomes of a Redis server, and how it is mended. */
export interface Fault {
	readonly name: string;
	/** The least that it lasts, milliseconds: one that says nothing is silent for longer than any connection waits. */
	readonly lastsMs: number;
	/** What a write that somebody asks for is answered meanwhile; undefined where it may succeed. */
	readonly refused: Readonly<Record<"durable" | "fast", readonly number[]>> | undefined;
	/** Whether the server gives up old records to make room, as one that is full does. */
	readonly forgets?: true;
	/** What `GET /readyz` says of it, with 503; undefined where it may be ready. */
	readonly unready: { readonly durable?: RegExp; readonly fast: RegExp } | undefined;
	readonly begin: (pair: SentinelPair) => Promise<void>;
	readonly end: (pair: SentinelPair) => Promise<void>;
}

const REFUSED = { durable: [503], fast: [503] };
const DURABLE = /asking the durable Redis/;
const FAST = /writing to the fast Redis/;
const SLOW_MS = 600;
/** What both servers have. */
export const MAX_MEMORY = "268435456";

/** Asks the first server itself, whatever stands before it. */
async function tell(pair: SentinelPair, ...[command, ...words]: readonly [string, ...string[]]): Promise<void> {
	await pair.first.client((redis) => redis.call(command, ...words));
}

export const away = (lastsMs: number): Fault => ({
	name: `away for ${lastsMs / 1000} s`,
	lastsMs,
	// What is on its way when the gateway hears that the server is gone may have arrived.
	refused: { ...REFUSED, fast: [503, 502] },
	unready: { durable: DURABLE, fast: FAST },
	begin: ({ first }) => first.kill(),
	end: ({ first }) => first.start(),
});

export const RESTARTED: Fault = {
	name: "restarted",
	lastsMs: 0,
	refused: undefined,
	unready: undefined,
	begin: ({ first }) => first.kill(),
	end: ({ first }) => first.start(),
};

export const FULL: Fault = {
	name: "full",
	lastsMs: 500,
	forgets: true,
	// The gateway looks at its memory once a second: then it says storage_full.
	refused: { durable: [503, 507], fast: [503] },
	unready: { fast: FAST },
	begin: (pair) => tell(pair, "CONFIG", "SET", "maxmemory", "1"),
	end: (pair) => tell(pair, "CONFIG", "SET", "maxmemory", MAX_MEMORY),
};

export const REPLICA: Fault = {
	name: "a replica of another one",
	lastsMs: 500,
	refused: REFUSED,
	unready: { fast: FAST },
	// Nobody is there: it keeps what it has.
	begin: (pair) => tell(pair, "REPLICAOF", "127.0.0.1", "9"),
	end: (pair) => tell(pair, "REPLICAOF", "NO", "ONE"),
};

export const UNFOLLOWED: Fault = {
	name: "without the replicas that it has to have for a write",
	lastsMs: 500,
	refused: REFUSED,
	unready: { fast: FAST },
	begin: (pair) => tell(pair, "CONFIG", "SET", "min-replicas-to-write", "2"),
	end: (pair) => tell(pair, "CONFIG", "SET", "min-replicas-to-write", "0"),
};

export const SLOW: Fault = {
	name: `${2 * SLOW_MS} ms away there and back`,
	lastsMs: 1500,
	refused: undefined,
	unready: undefined,
	begin: async ({ proxies }) => {
		proxies[0].delayMs = SLOW_MS;
	},
	end: async ({ proxies }) => {
		proxies[0].delayMs = 0;
	},
};

export const SILENT: Fault = {
	name: "half-open: it takes commands and answers none",
	lastsMs: 3000,
	refused: REFUSED,
	unready: { durable: DURABLE, fast: FAST },
	begin: async ({ first }) => first.freeze(),
	end: async ({ first }) => first.resume(),
};

/** The last one of a pair: its replica is the master from then on. */
export const FAILED_OVER: Fault = {
	name: "dead, and its replica in its place",
	lastsMs: 0,
	refused: undefined,
	unready: undefined,
	begin: (pair) => pair.failOver(),
	end: async () => undefined,
};
