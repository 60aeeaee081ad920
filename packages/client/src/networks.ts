import type { Network, NetworkList } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (name: string) => `/v1/networks/${encodeURIComponent(name)}`;

/** Networks of functions. */
export function networksOf(transport: Transport) {
	return {
		/** By name, each with the functions on it. */
		async networks(): Promise<readonly Network[]> {
			return (await transport.json<NetworkList>({ method: "GET", path: "/v1/networks" })).networks;
		},

		/** Makes a network, unless there is one of that name. @throws ApiError `invalid_name` */
		async makeNetwork(name: string): Promise<void> {
			await transport.json({ method: "PUT", path: pathOf(name) });
		},

		/** @throws ApiError `network_not_found`, `network_in_use` */
		async removeNetwork(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}
