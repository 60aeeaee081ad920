import type { Volume, VolumeInput, VolumeList } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (name: string) => `/v1/volumes/${encodeURIComponent(name)}`;

/** Volumes of functions. */
export function volumesOf(transport: Transport) {
	return {
		/** By name, each with the functions that have it. */
		async volumes(): Promise<readonly Volume[]> {
			return (await transport.json<VolumeList>({ method: "GET", path: "/v1/volumes" })).volumes;
		},

		/** @throws ApiError `volume_not_found` */
		volume(name: string): Promise<Volume> {
			return transport.json<Volume>({ method: "GET", path: pathOf(name) });
		},

		/** Makes a volume, unless there is one of that name and size. @throws ApiError `invalid_name`, `invalid_request`, `storage_full`, `storage_unavailable` */
		makeVolume(name: string, input: VolumeInput = {}): Promise<Volume> {
			return transport.json<Volume>({
				method: "PUT",
				path: pathOf(name),
				headers: { "content-type": "application/json" },
				body: JSON.stringify(input),
			});
		},

		/** Removes a volume and what is in it. @throws ApiError `volume_not_found`, `volume_in_use` */
		async removeVolume(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}
