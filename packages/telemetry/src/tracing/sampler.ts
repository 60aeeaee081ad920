import type { Traceparent, TraceSampler } from "@berth/contracts";

/** The randomness of a trace's id is in its last 56 bits (Trace Context Level 2), of which a number holds 52. */
const RANDOM_DIGITS = 13;
const RANDOM = 2 ** (4 * RANDOM_DIGITS);

/** Whether a trace is recorded. @param parent the span that it comes from, if it comes from one */
export function isSampled({ name, ratio }: TraceSampler, traceId: string, parent: Pick<Traceparent, "sampled"> | undefined): boolean {
	if (name.startsWith("parentbased_") && parent !== undefined) return parent.sampled;
	if (name.endsWith("always_on")) return true;
	if (name.endsWith("always_off")) return false;
	return Number.parseInt(traceId.slice(-RANDOM_DIGITS), 16) >= (1 - ratio) * RANDOM;
}
