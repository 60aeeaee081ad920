import { BerthError, HOOK_LIMITS, type Hook, MINUTE_MS, SECOND_MS } from "@berth/contracts";
import type { OpenHook, StoredEvent } from "@berth/registry";
import type { Services } from "../services.js";
import { isAllowed } from "./allow-list.js";
import { cutBody } from "./receipt.js";

/** Of one hook no more that weren't let in are logged in any second: who isn't let in decides how many there are. */
const MOST_LOGGED = 10;
const HOOKS_REMEMBERED = 1000;

/** What is said of deliveries that aren't let in: to their sender, and to the hook's owner. */
export class Refusals {
	readonly #services: Services;
	/** When the last ones were logged, by hook. */
	readonly #loggedAt = new Map<string, number[]>();

	constructor(services: Services) {
		this.#services = services;
	}

	/** What the sender is told, whatever the reason is. */
	unknown(): BerthError {
		this.#services.metrics.delivered("refused");
		return new BerthError(
			"hook_refused",
			"there is no such hook, or this delivery isn't what it lets in; its owner finds the reason in its log",
		);
	}

	/** The same, with the reason in the hook's log. @param instead what its sender is told otherwise */
	async refused(
		{ id, project, hook }: OpenHook,
		event: StoredEvent,
		body: Buffer,
		reason: string,
		instead?: BerthError,
	): Promise<BerthError> {
		const refusal = instead ?? this.unknown();
		if (instead !== undefined) this.#services.metrics.delivered("refused");
		if (!this.#isNext(id)) return refusal;
		// What strangers send mustn't drive out what else happened: the hook's own log has more of it.
		const minute = Math.floor(Date.now() / MINUTE_MS);
		const told = { kind: "hook", what: "refused", function: hook.function, hook: hook.name, reason: reason.slice(0, 200) } as const;
		this.#services.events.record(project, told, `refused:${id}:${minute}`);
		await this.#services.hooks.log.note(id, { ...event, result: "refused", reason, status: refusal.entry.status, body: cutBody(body) });
		return refusal;
	}

	/** What the hook's rate has no room for. @param waitMs until there is */
	async limited({ id, hook }: OpenHook, event: StoredEvent, body: Buffer, waitMs: number): Promise<BerthError> {
		this.#services.metrics.delivered("limited");
		const { limit = 0, periodMs = 0 } = hook.rate ?? {};
		const detail = `this hook takes ${limit} deliveries in ${periodMs / SECOND_MS} s; try again in ${Math.ceil(waitMs / SECOND_MS)} s`;
		return await this.#noteLimited(id, event, body, new BerthError("hook_limited", detail, { extra: { retryAfterMs: waitMs } }));
	}

	/** What the pace or the rate of its project has no room for. @throws what it is given, logged as limited if that is so */
	async overRate({ id }: OpenHook, event: StoredEvent, body: Buffer, error: unknown): Promise<never> {
		if (!(error instanceof BerthError) || (error.code !== "rate_limited" && error.code !== "too_busy")) throw error;
		this.#services.metrics.delivered("limited");
		throw await this.#noteLimited(id, event, body, error);
	}

	async #noteLimited(id: string, event: StoredEvent, body: Buffer, error: BerthError): Promise<BerthError> {
		if (this.#isNext(id))
			await this.#services.hooks.log.note(id, { ...event, result: "limited", status: error.entry.status, body: cutBody(body) });
		return error;
	}

	/** Whether one of this hook is logged now. */
	#isNext(id: string): boolean {
		const nowMs = performance.now();
		const times = this.#loggedAt.get(id) ?? [];
		if (times.length === MOST_LOGGED) {
			if (nowMs - (times[0] as number) < SECOND_MS) return false;
			times.shift();
		}
		times.push(nowMs);
		if (this.#loggedAt.size >= HOOKS_REMEMBERED) this.#loggedAt.clear();
		this.#loggedAt.set(id, times);
		return true;
	}
}

/** What isn't for this hook, whoever signed it. */
export function strangeness({ methods, allow }: Hook, { method, from, query }: StoredEvent): string | undefined {
	if (query.length > HOOK_LIMITS.queryBytes) return `its query has more than ${HOOK_LIMITS.queryBytes} bytes`;
	if (!methods.includes(method)) return `its method is ${method}; ${methods.join(", ")} are let in`;
	return isAllowed(from, allow) ? undefined : `it came from ${from}, which isn't on the hook's list`;
}

/** Whether the hook's filter has it: a name, or what a name begins with and a `*`. */
export function isWanted({ events }: Hook, event: string | undefined): boolean {
	if (events.length === 0) return true;
	if (event === undefined) return false;
	return events.some((pattern) => (pattern.endsWith("*") ? event.startsWith(pattern.slice(0, -1)) : event === pattern));
}
