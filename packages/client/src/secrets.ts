import type { Secret, SecretInput, SecretList } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (name: string) => `/v1/secrets/${encodeURIComponent(name)}`;

/** Secrets of functions, whose values never come back. */
export function secretsOf(transport: Transport) {
	return {
		/** By name, each with the functions that have it. */
		async secrets(): Promise<readonly Secret[]> {
			return (await transport.json<SecretList>({ method: "GET", path: "/v1/secrets" })).secrets;
		},

		/** Gives one a value, in place of what it had. @throws ApiError `invalid_name`, `invalid_request` */
		setSecret: (name: string, input: SecretInput): Promise<Omit<Secret, "functions" | "bindings">> =>
			transport.json({
				method: "PUT",
				path: pathOf(name),
				headers: { "content-type": "application/json" },
				body: JSON.stringify(input),
			}),

		/** @throws ApiError `secret_not_found`, `secret_in_use` */
		async removeSecret(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}
