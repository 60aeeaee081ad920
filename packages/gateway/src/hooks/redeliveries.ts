import { BerthError, derivedId, newId, type Redelivery, timeOfId } from "@berth/contracts";
import type { OpenHook, StoredEvent } from "@berth/registry";
import { enqueue } from "../background/enqueue.js";
import { passedHeaders } from "../function-headers.js";
import type { Services } from "../services.js";
import { bodyOf, resultOf } from "./hook-events.js";
import { headOf, keptBody, REDACTED } from "./receipt.js";

/** What can't be redelivered, and why. */
export function whyNot(event: StoredEvent): string | undefined {
	const { id } = event;
	const result = resultOf(event);
	if (result === "running") return `${id} is being run`;
	if (result === "answered" || result === "queued" || result === "failed" || result === "lost") return undefined;
	return `${id} is ${result}: what wasn't run once isn't run again`;
}

/** Which invocation a redelivery becomes, and which event, when the request for it comes again. */
export interface Redelivered {
	readonly invocation: string;
	readonly event: string;
}

/** Of a request under a key, for one event. @param claimed the id that is claimed with the key */
export function redeliveredUnder(claimed: string): Redelivered {
	return { invocation: claimed, event: claimed.replace(/^inv_/, "evt_") };
}

/** The same of a request for many, for one of them. */
export function redeliveredAmong(claimed: string, { id }: StoredEvent): Redelivered {
	return redeliveredUnder(derivedId(`${claimed} ${id}`, timeOfId(claimed) ?? 0));
}

/**
 * Runs a delivery once more, in the background whatever its hook's mode is: nobody waits. It is an event of its own, and what
 * was redacted of the first one its function doesn't get.
 * @param how `once`: not when somebody else is about to, or did
 * @param as what it becomes, should this be asked again; then it is the same invocation. Default: new ones
 * @returns why it couldn't be, when its body is kept no more
 */
export async function redeliver(
	{ id, project, hook }: OpenHook,
	first: StoredEvent,
	services: Services,
	how: "once" | "again",
	as?: Redelivered,
): Promise<Redelivery["redelivered"][number] | string> {
	const { hooks, functions, artifacts } = services;
	const again = as?.event ?? newId("evt");
	const before = as === undefined ? undefined : (await hooks.log.find(id, again))?.event;
	if (before?.result === "queued" && before.invocation !== undefined) {
		await hooks.log.annotate(id, { ...first, redeliveredAs: again });
		return { event: first.id, as: again, invocation: before.invocation };
	}
	const bytes = await bodyOf(first, services);
	if (bytes === undefined) return `the body of ${first.id} is kept no more`;
	const version = await functions.resolve(project, hook.function, { alias: hook.alias });
	const { reason: _, durationMs, status, redeliveredAs, invocation: __, ...rest } = first;
	const event: StoredEvent = {
		...rest,
		id: again,
		at: new Date().toISOString(),
		result: "running",
		version: version.number,
		redeliveryOf: first.id,
		body: before?.body ?? (await keptBody(bytes, artifacts.deliveries)),
	};
	const identities = how === "once" ? [`redelivery of ${first.id}`] : [];
	const claim = await hooks.log.begin(id, event, identities, 0);
	if (claim.kind === "gone") return "the hook is removed";
	// A claim of its own is one that an earlier try has left.
	if (claim.kind !== "begun" && claim.event !== again) return `it is redelivered as ${claim.event}`;
	const known = first.headers.filter(([, value]) => value !== REDACTED);
	// The log has them as they came.
	const request = headOf(hook.name, again, first.method, first.query, passedHeaders(known, first.from, true));
	const trigger = { kind: "http", request } as const;
	let invocation: string;
	try {
		const given = { trigger, body: bytes, source: "redelivery", ...(as === undefined ? {} : { id: as.invocation }) } as const;
		({ id: invocation } = await enqueue(version, given, services));
	} catch (error) {
		// It may be accepted: who asks again comes by the same ids, and nobody else runs it meanwhile.
		if (as !== undefined && error instanceof BerthError && error.code === "unavailable") throw error;
		await hooks.log.end(id, { ...event, result: "failed", reason: (error as Error).message }, identities);
		throw error;
	}
	await hooks.log.end(id, { ...event, result: "queued", invocation }, identities, { status: 202 });
	await hooks.log.annotate(id, { ...first, redeliveredAs: again });
	services.metrics.delivered("queued");
	return { event: first.id, as: again, invocation };
}
