import type { CrashLoop, InvocationRequest, Settlement } from "@berth/contracts";
import type { Job } from "bullmq";
import { platformSettlement } from "../settlements.js";
import { isTooOld, MOST_STALLS, retryOf } from "./background-policy.js";

/** What kept an invocation from being begun, as far as anything is known to. */
export interface Hindrance {
	/** What it needs that this node doesn't have, as in `the runtime class runsc`. */
	readonly lack?: string | undefined;
	readonly crashLoop?: CrashLoop | undefined;
}

/** The settlement of a job that isn't run any more; undefined for one that is. */
export function refusalOf(
	{ data, stalledCounter }: Pick<Job<InvocationRequest>, "data" | "stalledCounter">,
	of: { readonly node: string; readonly attempt: number; readonly queueMs: number },
	hindrance: Hindrance,
): Settlement | undefined {
	if (isTooOld(data)) {
		const message = `It is older than its function's maxAgeMs of ${retryOf(data).maxAgeMs} allows${whyLate(hindrance)}.`;
		return platformSettlement({ ...of, code: "expired_in_queue", message });
	}
	if (stalledCounter <= MOST_STALLS) return undefined;
	return platformSettlement({ ...of, code: "worker_lost", message: `${stalledCounter} workers died while they held it.` });
}

function whyLate({ lack, crashLoop }: Hindrance): string {
	if (lack !== undefined) return `: it waited for a node that has ${lack}`;
	if (crashLoop === undefined) return "";
	const { crashes, outcome, error, invocation } = crashLoop;
	const last = invocation === "" ? outcome : `${outcome}, at ${invocation}`;
	return `: its version is tried ever more rarely, since it crashed ${crashes} times in a row (function_failing; ${last}: ${error})`;
}
