import type { AuditList } from "@berth/contracts";
import type { Transport } from "./transport.js";

/** The audit log of the project; it wants the scope `admin`. */
export function auditOf(transport: Transport) {
	return {
		/** Changes, the newest first. @param query `before`: what the last answer had, for older ones */
		changes(query: { readonly limit?: number; readonly before?: string } = {}): Promise<AuditList> {
			const words = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]));
			return transport.json<AuditList>({ method: "GET", path: words.size === 0 ? "/v1/audit" : `/v1/audit?${words}` });
		},
	};
}
