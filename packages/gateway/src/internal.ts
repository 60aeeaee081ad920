import type { RequestListener } from "node:http";
import { INVOKING_HEADER, JOINED_HEADER, MACHINE_SIGNATURE_HEADER, STREAMS_PATH, signedText } from "@berth/contracts";
import type { Vault } from "@berth/registry";
import { refuse } from "./refused-requests.js";
import type { Streams } from "./streams/streams.js";

/**
 * What workers of other machines ask of this gateway: streams, each of which has a key of its own, and what functions ask of each
 * other. That a machine of this stack asks shows its signature, which takes the key that secrets are sealed with.
 */
export function createInternalApp(
	streams: Pick<Streams, "serve">,
	joined: RequestListener,
	vault: Pick<Vault, "isSigned">,
): RequestListener {
	return (request, response) => {
		const { method = "", url = "", headers } = request;
		if (url.startsWith(STREAMS_PATH)) {
			streams.serve(request, response);
			return;
		}
		const head = String(headers[INVOKING_HEADER] ?? headers[JOINED_HEADER] ?? "");
		const signature = String(headers[MACHINE_SIGNATURE_HEADER] ?? "");
		if (vault.isSigned(signedText(method, url, head), signature)) joined(request, response);
		else refuse(response, "unauthorized", "only machines of this stack may ask here");
	};
}
