import type { ApiKey, ApiKeyInput, ApiKeyList, NewApiKey } from "@berth/contracts";
import type { Transport } from "./transport.js";

/** API keys of the project; all of it wants the scope `admin`. */
export function apiKeysOf(transport: Transport) {
	return {
		/** By name, without what lets in. */
		async apiKeys(): Promise<readonly ApiKey[]> {
			return (await transport.json<ApiKeyList>({ method: "GET", path: "/v1/keys" })).keys;
		},

		/** Makes a key; `key` is it, which nobody can read again. @throws ApiError `invalid_request`, `key_exists` */
		makeApiKey(input: ApiKeyInput): Promise<NewApiKey> {
			return transport.json<NewApiKey>({
				method: "POST",
				path: "/v1/keys",
				headers: { "content-type": "application/json" },
				body: JSON.stringify(input),
			});
		},

		/** Revokes a key: within a second no gateway takes it. @throws ApiError `key_not_found` */
		async revokeApiKey(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: `/v1/keys/${encodeURIComponent(name)}` });
		},
	};
}
