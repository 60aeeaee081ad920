/** Changes of one project that are kept, the newest. */
export const AUDIT_KEPT = 2000;

/** One change that a key asked for over the HTTP API: what isn't a change, or was refused before anything was done, has none. */
export interface AuditEntry {
	readonly id: string;
	/** ISO 8601: when it was asked for. */
	readonly at: string;
	/** Whose: `operator:…`, of what the operator changes of the project from outside of it `operator` alone, or the id that `GET /v1/keys` lists, as the name may be another key's by now. */
	readonly key: { readonly id: string; readonly name: string };
	/** The address that it came from. */
	readonly from: string;
	readonly method: string;
	/** Without its query, at most 200 characters. */
	readonly path: string;
	/** What the path doesn't say: the name of what was made, or what a node was told. */
	readonly about?: string;
	/** What was answered; absent: it goes on, or its gateway died, and it was done or not. 499: its client went away. */
	readonly status?: number;
}

/** `GET /v1/audit`, the newest first. */
export interface AuditList {
	readonly entries: readonly AuditEntry[];
	/** Goes on with older ones, as `?before=`; absent: there are none. */
	readonly before?: string;
}
