import { newId, type Redelivery } from "@berth/contracts";
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

/**
 * Runs a delivery once more, in the background whatever its hook's mode is: nobody waits. It is an event of its own, and what
 * was redacted of the first one its function doesn't get.
 * @param how `once`: not when somebody else is about to, or did
 * @returns why it couldn't be, when its body is kept no more
 */
export async function redeliver(
	{ id, project, hook }: OpenHook,
	first: StoredEvent,
	services: Services,
	how: "once" | "again",
): Promise<Redelivery["redelivered"][number] | string> {
	const bytes = await bodyOf(first, services);
	if (bytes === undefined) return `the body of ${first.id} is kept no more`;
	const { hooks, functions, artifacts } = services;
	const version = await functions.resolve(project, hook.function, { alias: hook.alias });
	const again = newId("evt");
	const { reason: _, durationMs, status, redeliveredAs, invocation: before, ...rest } = first;
	const event: StoredEvent = {
		...rest,
		id: again,
		at: new Date().toISOString(),
		result: "running",
		version: version.number,
		redeliveryOf: first.id,
		body: await keptBody(bytes, artifacts.deliveries),
	};
	const identities = how === "once" ? [`redelivery of ${first.id}`] : [];
	const claim = await hooks.log.begin(id, event, identities, 0);
	if (claim.kind !== "begun") return claim.kind === "gone" ? "the hook is removed" : `it is redelivered as ${claim.event}`;
	const known = first.headers.filter(([, value]) => value !== REDACTED);
	// The log has them as they came.
	const request = headOf(hook.name, again, first.method, first.query, passedHeaders(known, first.from, true));
	let invocation: string;
	try {
		({ id: invocation } = await enqueue(version, { trigger: { kind: "http", request }, body: bytes, source: "redelivery" }, services));
	} catch (error) {
		await hooks.log.end(id, { ...event, result: "failed", reason: (error as Error).message }, identities);
		throw error;
	}
	await hooks.log.end(id, { ...event, result: "queued", invocation }, identities, { status: 202 });
	await hooks.log.annotate(id, { ...first, redeliveredAs: again });
	services.metrics.delivered("queued");
	return { event: first.id, as: again, invocation };
}
