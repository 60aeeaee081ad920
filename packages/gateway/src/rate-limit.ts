import { BerthError, type Quotas, SECOND_MS } from "@berth/contracts";
import type { Rate, RateVerdict } from "@berth/queue";
import type { Response } from "express";
import type { Services } from "./services.js";

/** What the policy is called in the headers. */
const POLICY = '"project"';

/**
 * One more request of a project, whoever makes it: with one of its keys, at a public function or to a hook. Says in the answer's headers what is
 * left, as draft-ietf-httpapi-ratelimit-headers-10 has it. Nothing is waited for unless the project has a limit and none of it is at hand.
 * @throws BerthError rate_limited, unavailable
 */
export async function countRequest(project: string, response: Response, { functions, rates }: Services): Promise<void> {
	const rate = rateOf(functions.quotas.of(project));
	if (rate === undefined) return;
	const taken = rates.take(project, rate);
	const verdict = taken instanceof Promise ? await taken : taken;
	response.setHeader("ratelimit-policy", `${POLICY};q=${rate.burst};w=${seconds((rate.burst * SECOND_MS) / rate.perSecond)}`);
	response.setHeader("ratelimit", `${POLICY};r=${verdict.remaining};t=${seconds(untilMs(rate, verdict))}`);
	if (verdict.allowed) return;
	const detail = `project ${project} may make ${rate.perSecond} requests a second, and ${rate.burst} at once; try again in ${verdict.retryAfterMs} ms`;
	throw new BerthError("rate_limited", detail, { extra: { retryAfterMs: verdict.retryAfterMs } });
}

/** Whether a project's requests are counted. */
export function rateOf({ requestsPerSecond, burst }: Quotas): Rate | undefined {
	return requestsPerSecond === undefined ? undefined : { perSecond: requestsPerSecond, burst: burst ?? requestsPerSecond };
}

/** Until all of it is there again; of a request that is refused, until there is anything. */
function untilMs({ perSecond, burst }: Rate, { allowed, remaining, retryAfterMs }: RateVerdict): number {
	return allowed ? ((burst - remaining) * SECOND_MS) / perSecond : retryAfterMs;
}

function seconds(ms: number): number {
	return Math.max(1, Math.ceil(ms / SECOND_MS));
}
