import type { HttpResponseHead, InvocationResult, Outcome, Settlement } from "@berth/contracts";
import type { DeliveryHandler } from "@berth/queue";

/** An attempt that ended so. */
export function ended(outcome: Outcome, more: Partial<Settlement["attempt"]> = {}, result?: InvocationResult): Settlement {
	return {
		attempt: {
			attempt: 1,
			outcome,
			start: "warm",
			phases: { queueMs: 1, startMs: 2, initMs: 3, runMs: 4 },
			limitsHit: [],
			...(outcome === "succeeded" ? {} : { code: outcome }),
			node: "node_test",
			finishedAtMs: Date.now(),
			...more,
		},
		...(result === undefined ? {} : { result }),
	};
}

/** A function that answers with this HTTP response. */
export function responding(response: HttpResponseHead, text = ""): DeliveryHandler {
	return async () => ended("succeeded", {}, { body: { text }, response });
}

/** A function that answers with the request as it saw it, as JSON. */
export const mirror: DeliveryHandler = async ({ request }) =>
	ended("succeeded", {}, { body: { text: JSON.stringify(request) }, contentType: "application/json" });
