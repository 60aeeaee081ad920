import { setTimeout as pause } from "node:timers/promises";
import type {
	AttemptAnswer,
	AttemptDetail,
	CancelAnswer,
	DeadLettersPurged,
	DeadLettersReplayed,
	InvocationAnswer,
	InvocationList,
	InvocationState,
	InvocationStateEvent,
	InvocationSummary,
	InvocationWaitsEvent,
	Outcome,
	ReplayAnswer,
} from "@berth/contracts";
import { ConnectionError } from "./errors.js";
import type { Transport } from "./transport.js";

/** Which background invocations are meant; times are ISO 8601 and of their acceptance. */
export interface InvocationQuery {
	readonly function?: string;
	readonly state?: InvocationState;
	readonly outcome?: Outcome;
	readonly since?: string;
	readonly until?: string;
	/** Dead letters alone. */
	readonly dead?: boolean;
	/** Of a page: 1 to 200, default 50. */
	readonly limit?: number;
	/** Goes on where a page ended. */
	readonly cursor?: string;
}
/** Which dead letters are meant. */
export type DeadLetterQuery = Omit<InvocationQuery, "state" | "dead">;

/** Which version a replay runs: that of the first invocation (the default), or the one that answers now. */
export interface ReplayOptions {
	readonly version?: "same" | "latest";
}

/** What a watcher of an invocation is told. */
export type InvocationEvent =
	| ({ readonly kind: "state" } & InvocationStateEvent)
	| ({ readonly kind: "waits" } & InvocationWaitsEvent)
	| ({ readonly kind: "attempt" } & AttemptAnswer)
	/** It is settled; nothing comes after. */
	| ({ readonly kind: "end" } & InvocationSummary);

/** The longest that a gateway waits with one answer, seconds. */
const WAIT_S = 60;
/** Connections that break one after another without news between them, and the pause before each next, milliseconds. */
const RETRIES = 10;
const RETRY_MS = 500;

const pathOf = (id: string) => `/v1/invocations/${encodeURIComponent(id)}`;

/** Records of invocations, and what can be done with those in the background. */
export function recordsOf(transport: Transport) {
	const post = <T>(path: string): Promise<T> => transport.json({ method: "POST", path });
	return {
		/** An invocation's record. @throws ApiError `invocation_not_found` */
		invocation: (id: string, options: { readonly signal?: AbortSignal } = {}): Promise<InvocationAnswer> =>
			transport.json({ method: "GET", path: pathOf(id), signal: options.signal }),

		/** One of its attempts, with its log. @throws ApiError `invocation_not_found` */
		invocationAttempt: (id: string, attempt: number): Promise<AttemptDetail> =>
			transport.json({ method: "GET", path: `${pathOf(id)}/attempts/${attempt}` }),

		/** Its record once it is settled, however long that takes. @throws ApiError `invocation_not_found`; the signal's reason */
		async settled(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<InvocationAnswer> {
			for (;;) {
				const path = `${pathOf(id)}?wait=${WAIT_S}s`;
				const record = await transport.json<InvocationAnswer>({ method: "GET", path, signal: options.signal });
				if (record.state === "settled") return record;
			}
		},

		/** A page of background invocations, newest first. @throws ApiError `invalid_request` */
		invocations: (query: InvocationQuery = {}): Promise<InvocationList> =>
			transport.json({ method: "GET", path: `/v1/invocations${queryOf(query)}` }),

		/** What waits never begins; what runs is told, and killed 5 s later. @throws ApiError `invocation_not_found` */
		cancel: (id: string): Promise<CancelAnswer> => post(`${pathOf(id)}/cancel`),

		/** Runs its payload once more. @throws ApiError `payload_gone`, `invocation_unsettled` */
		replay: (id: string, options: ReplayOptions = {}): Promise<ReplayAnswer> => post(`${pathOf(id)}/replay${queryOf(options)}`),

		/** Replays dead letters, up to 100 of them. @throws ApiError */
		replayDeadLetters: (query: DeadLetterQuery & ReplayOptions = {}): Promise<DeadLettersReplayed> =>
			post(`/v1/dead-letters/replay${queryOf(query)}`),

		/** Removes dead letters with their records, up to 1,000 of them. */
		purgeDeadLetters: (query: DeadLetterQuery = {}): Promise<DeadLettersPurged> =>
			transport.json({ method: "DELETE", path: `/v1/dead-letters${queryOf(query)}` }),

		/** Removes one. @throws ApiError `invocation_not_found` */
		async purgeDeadLetter(id: string): Promise<void> {
			await transport.json({ method: "DELETE", path: `/v1/dead-letters/${encodeURIComponent(id)}` });
		},

		/**
		 * What happened to an invocation and what happens, until its end; a connection that breaks is made again, and goes on after what is known.
		 * @throws ApiError `invocation_not_found`; ConnectionError when it breaks again and again; the signal's reason
		 */
		async *watchInvocation(id: string, signal?: AbortSignal): AsyncGenerator<InvocationEvent> {
			let last: string | undefined;
			for (let failures = 0; ; ) {
				const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
				try {
					for await (const one of transport.events({ method: "GET", path: `${pathOf(id)}/events`, headers, signal })) {
						failures = 0;
						last = one.id ?? last;
						yield { kind: one.event, ...(JSON.parse(one.data) as object) } as InvocationEvent;
						if (one.event === "end") return;
					}
					throw new ConnectionError(transport.base, new Error("the event stream ended in the middle"));
				} catch (error) {
					if (!(error instanceof ConnectionError) || ++failures > RETRIES) throw error;
					await pause(RETRY_MS, undefined, { signal });
				}
			}
		},
	};
}

function queryOf(query: object): string {
	const given = Object.entries(query).filter(([, value]) => value !== undefined);
	return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([field, value]): [string, string] => [field, String(value)]))}`;
}
