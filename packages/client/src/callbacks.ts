import type { CallbackRecord, CallbackSecret } from "@berth/contracts";
import type { Transport } from "./transport.js";

/** Callbacks of background invocations, and what they are signed with. */
export function callbacksOf(transport: Transport) {
	return {
		/** What the project's callbacks are signed with; made when it is asked for first. */
		callbackSecret: (): Promise<CallbackSecret> => transport.json({ method: "GET", path: "/v1/callback-secret" }),

		/** Another one; for 24 hours each callbacks are signed with those before, three at most, too. @throws ApiError `invalid_request` when there are as many */
		rotateCallbackSecret: (): Promise<CallbackSecret> => transport.json({ method: "POST", path: "/v1/callback-secret/rotate" }),

		/** Has the callback of a settled invocation sent once more. @throws ApiError `invocation_not_found`, `invalid_request` */
		sendCallback: (id: string): Promise<CallbackRecord> =>
			transport.json({ method: "POST", path: `/v1/invocations/${encodeURIComponent(id)}/callback` }),
	};
}
