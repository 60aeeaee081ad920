import type { ImageList, ImageTransfer, PullInput, PushInput, Recovery } from "@berth/contracts";
import { ApiError } from "./errors.js";
import type { Transport } from "./transport.js";

/** How a push or a pull is awaited. */
export interface TransferOptions {
	/** Told of each piece of news, the last one included. */
	readonly onProgress?: (transfer: ImageTransfer) => void;
	/** Ends the waiting; the transfer goes on. */
	readonly signal?: AbortSignal;
}

/** Images, and their way to and from OCI registries. */
export function imagesOf(transport: Transport) {
	const start = async (path: string, input: object, { onProgress, signal }: TransferOptions): Promise<ImageTransfer> => {
		const headers = { "content-type": "application/json" };
		let transfer: ImageTransfer = await transport.json({ method: "POST", path, headers, body: JSON.stringify(input), signal });
		while (transfer.state === "running") {
			onProgress?.(transfer);
			transfer = await transport.json({ method: "GET", path: `/v1/images/transfers/${transfer.id}?after=${transfer.revision}`, signal });
		}
		onProgress?.(transfer);
		if (transfer.problem !== undefined) throw new ApiError(transfer.problem);
		return transfer;
	};
	return {
		/** The images of the project's versions. */
		async images(): Promise<ImageList["images"]> {
			return (await transport.json<ImageList>({ method: "GET", path: "/v1/images" })).images;
		},

		/** Pushes a version's image and waits until it is there. @throws ApiError `registry_failed`, `function_not_found`, … */
		pushImage: (input: PushInput, options: TransferOptions = {}): Promise<ImageTransfer> => start("/v1/images/push", input, options),

		/** Pulls an image and waits until it is a version. @throws ApiError `image_not_found`, `image_rejected`, `registry_failed`, … */
		pullImage: (input: PullInput, options: TransferOptions = {}): Promise<ImageTransfer> => start("/v1/images/pull", input, options),

		/** Makes functions and versions out of the images in the store. */
		recover: (): Promise<Recovery> => transport.json({ method: "POST", path: "/v1/recover" }),
	};
}
