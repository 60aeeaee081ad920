import type { PackageRegistryEntry, PackageRegistryInput, PackageRegistryList } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (host: string) => `/v1/registries/${encodeURIComponent(host)}`;

/** Package registries of the project, and its logins there. */
export function packageRegistriesOf(transport: Transport) {
	return {
		/** Those that are set, and which may be. */
		packageRegistries: (): Promise<PackageRegistryList> => transport.json({ method: "GET", path: "/v1/registries" }),

		/** Sets one, in place of what there was of its host. @throws ApiError `invalid_request` */
		setPackageRegistry: (host: string, input: PackageRegistryInput): Promise<PackageRegistryEntry> =>
			transport.json({
				method: "PUT",
				path: pathOf(host),
				headers: { "content-type": "application/json" },
				body: JSON.stringify(input),
			}),

		/** Forgets one with its login. @throws ApiError `not_found` */
		async removePackageRegistry(host: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(host) });
		},
	};
}
