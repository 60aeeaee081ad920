import { setTimeout as pause } from "node:timers/promises";
import {
	type AcceptedInvocation,
	BerthError,
	CALLER_HEADER,
	HEADERS,
	type InvocationRequest,
	type InvokingHead,
	type JoinedHead,
	joinedNetwork,
	type Trigger,
	type Version,
} from "@berth/contracts";
import { functionNotFound, type KeyHolder } from "@berth/registry";
import type { Request, Response } from "express";
import { eventOf, isAsync, RESPOND_ASYNC, readAsked, urlBelow } from "./asked.js";
import { authenticate, principalOf, requireScope } from "./auth.js";
import { runAtOf } from "./background/asked.js";
import { type Enqueuing, enqueue } from "./background/enqueue.js";
import { sayCors } from "./cors.js";
import { callbackOf } from "./follow-ups/asked.js";
import { requestHeaders } from "./function-headers.js";
import { claimedId } from "./idempotency/idempotency.js";
import { Interactive } from "./interactive.js";
import { nameFrom, type Target, targetFrom } from "./names.js";
import { countRequest } from "./rate-limit.js";
import { sayTrace } from "./server-timing.js";
import type { Services } from "./services.js";

/** When whoever has no key of the project is refused at a function's own URL, milliseconds: later than looking for it takes. */
const STRANGERS_WAIT_MS = 20;

/** Who may invoke what: by its name, as an HTTP endpoint, and as one function asks of another. */
export class Invocations {
	readonly #services: Services;
	readonly interactive: Interactive;

	constructor(services: Services) {
		this.#services = services;
		this.interactive = new Interactive(services);
	}

	/** `POST /v1/functions/{name}/invocations`, where the name may be `name@alias` or `name@version` */
	async event(request: Request, response: Response): Promise<void> {
		const { project } = principalOf(request);
		const { name, selector } = targetFrom(request.params["name"]);
		const version = await this.#services.functions.resolve(project, name, selector);
		const trigger = eventOf(request);
		const background = isAsync(request);
		const callback = callbackOf(request, background, this.#services);
		const runAtMs = runAtOf(request, background);
		const asked = { ...(callback === undefined ? {} : { callback }), ...(runAtMs === undefined ? {} : { runAtMs }) };
		if (background) await this.#acceptLater(request, response, version, { trigger, ...asked });
		else await this.interactive.run(request, response, version, trigger, true);
	}

	/** Any method on `/fn/{project}/{name}/…`. Always answered by the function: `Prefer` is its to honour. */
	async http(request: Request, response: Response): Promise<void> {
		// The fetch standard has no request of these, and RFC 9110 answers TRACE itself.
		if (request.method === "TRACE" || request.method === "TRACK") {
			throw new BerthError("method_not_allowed", `${request.method} never reaches a function`);
		}
		const project = nameFrom(request.params["project"], "project");
		const { version, holder } = await this.#resolveFor(request, project, targetFrom(request.params["name"]));
		const isPreflight = sayCors(request, response, version.manifest);
		await countRequest(project, response, this.#services, holder);
		if (isPreflight) {
			response.status(204).end();
			return;
		}
		const isPublic = version.manifest.public;
		const head = { method: request.method, url: urlBelow(request.originalUrl), headers: requestHeaders(request, isPublic) };
		await this.interactive.run(request, response, version, { kind: "http", request: head }, !isPublic);
	}

	/** What a function asks of another one on its network. One that isn't on it is not to be told from one that isn't there. */
	async joined(request: Request, response: Response, asked: JoinedHead): Promise<void> {
		const { project, network, caller, function: name, depth, parent, deadlineMs } = asked;
		const version = await this.#services.functions.resolve(project, name);
		if (joinedNetwork(version.manifest.network) !== network) throw functionNotFound(name);
		const headers = [...requestHeaders(request, true), [CALLER_HEADER, caller] as const];
		const trigger: Trigger = { kind: "http", request: { method: request.method, url: request.url, headers } };
		await this.interactive.run(request, response, version, trigger, true, {
			depth,
			...(parent === undefined ? {} : { parent: { id: parent, function: caller } }),
			...(deadlineMs === undefined ? {} : { deadlineMs }),
		});
	}

	/** What a function asks of another one of its project by `ctx.invoke`: its worker says who asks. */
	async invoking(request: Request, response: Response, asked: InvokingHead): Promise<void> {
		const { name, selector } = targetFrom(asked.function);
		const version = await this.#services.functions.resolve(asked.project, name, selector);
		const trigger = eventOf(request);
		const { depth, parent, deadlineMs } = asked;
		if (asked.async) {
			// What somebody waits for was paced with what it comes of.
			await this.#services.pacing.take(asked.project);
			await this.#acceptLater(request, response, version, { trigger, origin: { depth, parent } });
		} else await this.interactive.run(request, response, version, trigger, true, { depth, parent, deadlineMs, whole: true });
	}

	/**
	 * A function that isn't public is not to be told from one that isn't there, without a key of its project.
	 * Nor are versions by their number: public is what an alias leads to, not what it was moved away from.
	 */
	async #resolveFor(
		request: Request,
		project: string,
		{ name, selector }: Target,
	): Promise<{ readonly version: Version; readonly holder?: KeyHolder }> {
		const sinceMs = performance.now();
		const version = await this.#services.functions.resolve(project, name, selector).catch((error: unknown) => {
			if (error instanceof BerthError && error.code !== "unavailable") return error;
			throw error;
		});
		const isNumbered = selector !== undefined && "version" in selector;
		if (!(version instanceof BerthError) && version.manifest.public && !isNumbered) return { version };
		const holder = await this.#holderFor(request, project, name).catch(async (error: unknown) => {
			// What is there is remembered, and what isn't is looked for each time: strangers aren't told by how long it takes.
			await pause(Math.max(0, STRANGERS_WAIT_MS - (performance.now() - sinceMs)));
			throw error;
		});
		requireScope(holder, "invoke");
		if (version instanceof BerthError) throw version;
		return { version, holder };
	}

	/** @throws BerthError unauthorized; function_not_found with the key of another project */
	async #holderFor(request: Request, project: string, name: string): Promise<KeyHolder> {
		const holder = await authenticate(request, this.#services.keys);
		if (holder.project !== undefined && holder.project !== project) throw functionNotFound(name);
		return holder;
	}

	async #acceptLater(request: Request, response: Response, version: Version, given: Omit<Enqueuing, "body">): Promise<void> {
		const id = claimedId(response);
		// Before its body is read; it is made sure of when that is put into the queue.
		await this.#services.invocations.requireRoom(version);
		const { bytes, ...read } = await readAsked(request, version, given.trigger, this.#services);
		const invocation = await enqueue(version, { ...given, ...read, body: bytes, ...(id === undefined ? {} : { id }) }, this.#services);
		response.setHeader(HEADERS.invocationId, invocation.id);
		response.setHeader(HEADERS.version, version.number);
		sayTrace(response, invocation);
		if (RESPOND_ASYNC.test(String(request.headers["prefer"] ?? ""))) response.setHeader("preference-applied", "respond-async");
		response.status(202).location(`/v1/invocations/${invocation.id}`).json(shown(invocation));
	}
}

function shown({ id, runAtMs }: InvocationRequest): AcceptedInvocation {
	return { id, state: "queued", ...(runAtMs === undefined ? {} : { runAt: new Date(runAtMs).toISOString() }) };
}
