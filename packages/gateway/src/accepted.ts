import {
	type BodyReference,
	type InvocationRequest,
	newId,
	type ParentInvocation,
	type TraceContext,
	type Trigger,
	type Version,
} from "@berth/contracts";
import { sharedNow } from "@berth/queue";
import type { Services } from "./services.js";

/** What is accepted, of either lane. */
export interface Accepting {
	readonly trigger: Trigger;
	/** Milliseconds the handler may run. Default: the version's. */
	readonly timeoutMs?: number;
	/** What the request said of one. Default: a new one. */
	readonly trace?: TraceContext | undefined;
	readonly origin?: Origin;
	/** Default: `api`, or `function` when it has an origin. */
	readonly source?: InvocationRequest["source"];
	/** Default: a new one. */
	readonly id?: string;
	/** Default: now. */
	readonly acceptedAtMs?: number;
}

/** Of an invocation that another one asks for, or whose settlement it is given. */
export interface Origin {
	readonly depth: number;
	readonly parent?: ParentInvocation;
	/** When that one is killed, milliseconds since the epoch: nobody waits any longer. */
	readonly deadlineMs?: number;
	/** Its answer isn't taken in pieces. */
	readonly whole?: true;
}

/** The invocation of a version that it becomes, as far as both lanes have it. */
export function acceptedOf(
	version: Version,
	{ trigger, timeoutMs = version.manifest.timeoutMs, trace, origin, source, id, acceptedAtMs = sharedNow() }: Accepting,
	body: BodyReference,
	{ spans }: Services,
): InvocationRequest {
	const { depth, parent } = origin ?? {};
	const from = source ?? (origin === undefined ? undefined : "function");
	return {
		id: id ?? newId("inv", acceptedAtMs),
		project: version.project,
		function: version.function,
		version: version.number,
		trigger,
		body,
		acceptedAtMs,
		timeoutMs,
		...(depth === undefined ? {} : { depth }),
		...(from === undefined ? {} : { source: from }),
		...(parent === undefined ? {} : { parent }),
		trace: spans.begin(trace),
	};
}
