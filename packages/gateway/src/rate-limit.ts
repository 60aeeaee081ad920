import { BerthError, type Quotas, SECOND_MS } from "@berth/contracts";
import type { Bucket, Rate, RateVerdict } from "@berth/queue";
import type { KeyHolder } from "@berth/registry";
import type { Response } from "express";
import type { Services } from "./services.js";

/** A bound of a request, by what its policy is called in the headers. */
interface Policy extends Bucket {
	readonly policy: "project" | "key";
	/** As a refusal has it. */
	readonly whose: string;
}

/** One more request of a project, at its pace and within its rates. @throws BerthError too_busy; and as `takeOfRates` */
export async function countRequest(project: string, response: Response, services: Services, holder?: KeyHolder): Promise<void> {
	await services.pacing.take(project);
	await takeOfRates(project, response, services, holder);
}

/**
 * One more request of a project, whoever makes it: with one of its keys, which may have a bound of its own, at a public function or to a hook.
 * Says in the answer's headers what is left, as draft-ietf-httpapi-ratelimit-headers-10 has it. Nothing is waited for unless there is a limit and
 * none of it is at hand; what is asked for of both is on its way at the same time.
 * @param holder of the key that it came with @throws BerthError rate_limited, unavailable
 */
export async function takeOfRates(project: string, response: Response, { functions, rates }: Services, holder?: KeyHolder): Promise<void> {
	const policies = policiesOf(project, functions.quotas.of(project), holder);
	if (policies.length === 0) return;
	const taken = rates.takeAll(policies);
	const verdicts = taken instanceof Promise ? await taken : taken;
	const said = policies.map((policy, at) => ({ ...policy, verdict: verdicts[at] as RateVerdict }));
	response.setHeader("ratelimit-policy", said.map(policyText).join(", "));
	response.setHeader("ratelimit", said.map(remainingText).join(", "));
	const refused = said.filter(({ verdict }) => !verdict.allowed);
	const [first] = refused;
	if (first === undefined) return;
	const { whose, rate } = first;
	const retryAfterMs = Math.max(...refused.map(({ verdict }) => verdict.retryAfterMs));
	const detail = `${whose} may make ${rate.perSecond} requests a second, and ${rate.burst} at once; try again in ${retryAfterMs} ms`;
	throw new BerthError("rate_limited", detail, { extra: { retryAfterMs } });
}

/** Its key's first: who has one is told of that. */
function policiesOf(project: string, quotas: Quotas, holder: KeyHolder | undefined): readonly Policy[] {
	const ofProject = rateOf(quotas);
	const perSecond = holder?.ratePerSecond;
	return [
		...(holder === undefined || perSecond === undefined
			? []
			: [
					{
						policy: "key" as const,
						name: `${project}/${holder.id}`,
						rate: { perSecond, burst: perSecond },
						whose: `the API key ${holder.name}`,
					},
				]),
		...(ofProject === undefined ? [] : [{ policy: "project" as const, name: project, rate: ofProject, whose: `project ${project}` }]),
	];
}

function policyText({ policy, rate }: Policy): string {
	return `"${policy}";q=${rate.burst};w=${seconds((rate.burst * SECOND_MS) / rate.perSecond)}`;
}

function remainingText({ policy, rate, verdict }: Policy & { readonly verdict: RateVerdict }): string {
	return `"${policy}";r=${verdict.remaining};t=${seconds(untilMs(rate, verdict))}`;
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
