import {
	type AcceptedInvocation,
	BACKGROUND_INLINE_BYTES,
	BerthError,
	CALLER_HEADER,
	FIXED_LIMITS,
	HEADERS,
	type InvocationRequest,
	type InvokingHead,
	type JoinedHead,
	LIMITS,
	MOST_DEPTH,
	newId,
	type ParentInvocation,
	type Settlement,
	type TraceContext,
	type Trigger,
	traceIn,
	type Version,
} from "@berth/contracts";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { answer, writeStreamHead } from "./answers.js";
import { authenticate } from "./auth.js";
import { retryOf, runAtOf } from "./background/asked.js";
import { callbackOf, followUpsOf } from "./follow-ups/asked.js";
import { requestHeaders } from "./function-headers.js";
import { claimedId, isKept } from "./idempotency/idempotency.js";
import { isJson, parseJson } from "./json.js";
import { nameFrom, type Target, targetFrom } from "./names.js";
import type { Drained } from "./overload/drain-rate.js";
import { type Owner, Places, type Refusal } from "./overload/places.js";
import { nodeFor } from "./placement.js";
import { wordFrom } from "./query.js";
import { sayTrace } from "./server-timing.js";
import type { Services } from "./services.js";
import { AnswerStream } from "./streams/answer-stream.js";
import { RequestBody } from "./streams/request-body.js";

/** What the way there and back may add to an invocation's start and run before its caller gives up, milliseconds. */
const SLACK_MS = 2000;
const EMPTY = Buffer.alloc(0);
const RESPOND_ASYNC = /(?:^|,)\s*respond-async\s*(?:[,;]|$)/i;

/** What becomes an invocation. */
interface Accepting {
	readonly trigger: Trigger;
	readonly bytes: Buffer;
	readonly timeoutMs: number;
	/** What the request said of one. Default: a new one. */
	readonly trace?: TraceContext | undefined;
	readonly origin?: Origin;
	/** Default: a new one. */
	readonly id?: string;
	/** In the background: where the settlement is posted, instead of where the manifest says. */
	readonly callback?: string;
	/** In the background: not before then. */
	readonly runAtMs?: number;
	readonly source?: InvocationRequest["source"];
}

/** Of an invocation that another one asks for, or whose settlement it is given. */
interface Origin {
	readonly depth: number;
	readonly parent?: ParentInvocation;
	/** When that one is killed, milliseconds since the epoch: nobody waits any longer. */
	readonly deadlineMs?: number;
	/** Its answer isn't taken in pieces. */
	readonly whole?: true;
}

/** A delivery to a hook that becomes an invocation of this version. */
export interface Delivered extends Pick<Accepting, "trigger" | "bytes" | "trace"> {
	readonly version: Version;
	readonly source: "hook" | "redelivery";
}

/** A settlement that another function gets. */
export interface Following extends Pick<Accepting, "bytes" | "trace"> {
	/** Its own, the same with every try. */
	readonly id: string;
	readonly version: Version;
	/** The invocation that was settled. */
	readonly origin: Origin;
}

/** How an invocation ended. */
export interface Ended {
	readonly id: string;
	readonly settlement: Settlement;
}

/** Accepts invocations and answers them; counts those that are waited for. */
export class Invocations {
	readonly #services: Services;
	/** By how many others an invocation comes of. Each depth has as many, so that those who wait for others never keep them from one; the last waits for nobody. */
	readonly #places: readonly Places[];

	constructor(services: Services) {
		this.#services = services;
		const { maxInflight, metrics } = services;
		const refused = (reason: Refusal) => metrics.refused("interactive", reason);
		this.#places = Array.from({ length: MOST_DEPTH + 1 }, () => new Places(maxInflight, refused));
	}

	/** `POST /v1/functions/{name}/invocations`, where the name may be `name@alias` or `name@version` */
	async event(request: Request, response: Response): Promise<void> {
		const { project } = await authenticate(request, this.#services.keys);
		const { name, selector } = targetFrom(request.params["name"]);
		const version = await this.#services.functions.resolve(project, name, selector);
		const contentType = request.headers["content-type"];
		const trigger: Trigger = { kind: "event", ...(contentType === undefined ? {} : { contentType }) };
		const background = isAsync(request);
		const callback = callbackOf(request, background, this.#services);
		const runAtMs = runAtOf(request, background);
		const asked = { ...(callback === undefined ? {} : { callback }), ...(runAtMs === undefined ? {} : { runAtMs }) };
		if (background) await this.#acceptLater(request, response, version, { trigger, ...asked });
		else await this.#run(request, response, version, trigger, true);
	}

	/** Any method on `/fn/{project}/{name}/…`. Always answered by the function: `Prefer` is its to honour. */
	async http(request: Request, response: Response): Promise<void> {
		// The fetch standard has no request of these, and RFC 9110 answers TRACE itself.
		if (request.method === "TRACE" || request.method === "TRACK") {
			throw new BerthError("method_not_allowed", `${request.method} never reaches a function`);
		}
		const project = nameFrom(request.params["project"], "project");
		const version = await this.#resolveFor(request, project, targetFrom(request.params["name"]));
		const isPublic = version.manifest.public;
		const head = { method: request.method, url: urlBelow(request.originalUrl), headers: requestHeaders(request, isPublic) };
		await this.#run(request, response, version, { kind: "http", request: head }, !isPublic);
	}

	/** What a function asks of another one on its network. One that isn't on it is not to be told from one that isn't there. */
	async joined(request: Request, response: Response, asked: JoinedHead): Promise<void> {
		const { project, network, caller, function: name, depth, parent, deadlineMs } = asked;
		const version = await this.#services.functions.resolve(project, name);
		const own = version.manifest.network;
		if (typeof own !== "object" || own.join !== network) throw functionNotFound(name);
		const headers = [...requestHeaders(request, true), [CALLER_HEADER, caller] as const];
		const trigger: Trigger = { kind: "http", request: { method: request.method, url: request.url, headers } };
		await this.#run(request, response, version, trigger, true, {
			depth,
			...(parent === undefined ? {} : { parent: { id: parent, function: caller } }),
			...(deadlineMs === undefined ? {} : { deadlineMs }),
		});
	}

	/** What a function asks of another one of its project by `ctx.invoke`: its worker says who asks. */
	async invoking(request: Request, response: Response, asked: InvokingHead): Promise<void> {
		const { name, selector } = targetFrom(asked.function);
		const version = await this.#services.functions.resolve(asked.project, name, selector);
		const contentType = request.headers["content-type"];
		const trigger: Trigger = { kind: "event", ...(contentType === undefined ? {} : { contentType }) };
		const { depth, parent, deadlineMs } = asked;
		if (asked.async) await this.#acceptLater(request, response, version, { trigger, origin: { depth, parent } });
		else await this.#run(request, response, version, trigger, true, { depth, parent, deadlineMs, whole: true });
	}

	/**
	 * A function that isn't public is not to be told from one that isn't there, without a key of its project.
	 * Nor are versions by their number: public is what an alias leads to, not what it was moved away from.
	 */
	async #resolveFor(request: Request, project: string, { name, selector }: Target): Promise<Version> {
		const version = await this.#services.functions.resolve(project, name, selector).catch((error: unknown) => {
			if (error instanceof BerthError && error.code !== "unavailable") return error;
			throw error;
		});
		const isNumbered = selector !== undefined && "version" in selector;
		if (!(version instanceof BerthError) && version.manifest.public && !isNumbered) return version;
		const principal = await authenticate(request, this.#services.keys);
		if (principal.project !== project) throw new BerthError("function_not_found", `there is no function ${JSON.stringify(name)}`);
		if (version instanceof BerthError) throw version;
		return version;
	}

	/** What a hook let in, answered by its function. @param onSettled told before the answer is given */
	async answerDelivery(response: Response, delivery: Delivered, onSettled: (ended: Ended) => Promise<void>): Promise<void> {
		const invocation = await this.#accept(delivery.version, { ...delivery, timeoutMs: delivery.version.manifest.timeoutMs }, true);
		await this.#answer(response, delivery.version, invocation, false, onSettled);
	}

	/** What a hook let in, in the background. @returns the invocation's id, when it is on disk */
	async enqueueDelivery(delivery: Delivered): Promise<string> {
		const invocation = await this.#accept(delivery.version, { ...delivery, timeoutMs: delivery.version.manifest.timeoutMs }, false);
		await this.enqueue(invocation);
		return invocation.id;
	}

	/** A settlement for the function that is to get it, on disk when it resolves; the same id twice is one invocation. */
	async enqueueFollower({ version, ...rest }: Following): Promise<void> {
		const trigger = { kind: "event", contentType: "application/json" } as const;
		const { timeoutMs } = version.manifest;
		await this.enqueue(await this.#accept(version, { trigger, timeoutMs, source: "function", ...rest }, false));
	}

	async #run(request: Request, response: Response, version: Version, trigger: Trigger, trusted: boolean, origin?: Origin): Promise<void> {
		this.#placesAt(origin?.depth).require(this.#ownerOf(version));
		const { rest, ...read } = await this.#read(request, version, trigger);
		try {
			const invocation = await this.#accept(version, { trigger, ...read, ...(origin === undefined ? {} : { origin }) }, true);
			// A HEAD's answer has no body that could come in pieces.
			if (request.method === "HEAD" || origin?.whole === true) await this.#answer(response, version, invocation, trusted);
			else await this.#answerInPieces(response, version, invocation, trusted, rest);
		} finally {
			rest?.close();
		}
	}

	async #answerInPieces(
		response: Response,
		version: Version,
		invocation: InvocationRequest,
		trusted: boolean,
		body: RequestBody | undefined,
	): Promise<void> {
		const { streams } = this.#services;
		const asked = { id: invocation.id, version: version.number };
		const stream = new AnswerStream(response, (head) => writeStreamHead(response, asked, head), body);
		try {
			const place = streams.open(invocation.id, stream);
			await this.#answer(response, version, { ...invocation, stream: place }, trusted, undefined, stream);
		} finally {
			streams.close(invocation.id);
		}
	}

	async #answer(
		response: Response,
		version: Version,
		invocation: InvocationRequest,
		trusted: boolean,
		onSettled?: (ended: Ended) => Promise<void>,
		stream?: AnswerStream,
	): Promise<void> {
		const { nodes, artifacts } = this.#services;
		sayTrace(response, invocation);
		const { depth = 0 } = invocation;
		let settlement: Settlement | undefined;
		try {
			// A place is for what can run: a body that comes slowly keeps nobody from one.
			const place = this.#placesAt(depth).take(this.#ownerOf(version));
			try {
				const node = nodeFor(nodes, version.project, version.function);
				settlement = await this.#settled(node, invocation, response);
				await onSettled?.({ id: invocation.id, settlement });
				if (stream !== undefined && (stream.begun || settlement.attempt.streamed !== undefined))
					await stream.end(settlement.attempt.outcome);
				else if (stream?.refused !== undefined && settlement.attempt.outcome !== "succeeded") throw stream.refused;
				else await answer(response, { id: invocation.id, version: version.number, settlement, trusted }, artifacts.payloads);
			} finally {
				place.free(settlement === undefined ? undefined : drainedBy(settlement));
			}
		} finally {
			this.#services.spans.ended(invocation, settlement);
			await artifacts.payloads.removeBody(invocation.body);
		}
	}

	#ownerOf({ project, function: name, manifest }: Version): Owner {
		return { project, function: name, concurrency: manifest.concurrency * Math.max(1, this.#services.nodes.nodes().length) };
	}

	#placesAt(depth = 0): Places {
		return this.#places[depth] as Places;
	}

	/** Waits for the end of an invocation even when its caller doesn't: the function is told then. */
	async #settled(node: string, invocation: InvocationRequest, response: Response): Promise<Settlement> {
		const { invocations } = this.#services;
		if (response.closed && !isKept(response)) throw new BerthError("cancelled", "the caller went away before anything was accepted");
		response.once("close", () => {
			if (!response.writableFinished && !isKept(response)) invocations.cancel(invocation.id);
		});
		return await invocations.run(node, invocation);
	}

	async #acceptLater(
		request: Request,
		response: Response,
		version: Version,
		given: Pick<Accepting, "trigger" | "callback" | "runAtMs" | "origin">,
	): Promise<void> {
		const id = claimedId(response);
		await this.#services.invocations.requireRoom(version);
		const read = await this.#read(request, version, given.trigger);
		const invocation = await this.#accept(version, { ...given, ...read, ...(id === undefined ? {} : { id }) }, false);
		await this.enqueue(invocation);
		response.setHeader(HEADERS.invocationId, invocation.id);
		response.setHeader(HEADERS.version, version.number);
		sayTrace(response, invocation);
		if (RESPOND_ASYNC.test(String(request.headers["prefer"] ?? ""))) response.setHeader("preference-applied", "respond-async");
		response.status(202).location(`/v1/invocations/${invocation.id}`).json(acceptedOf(invocation));
	}

	/** Puts one in the background whose body is `queued`; the body goes when it isn't accepted. @throws BerthError `unavailable`, `queue_full` */
	async enqueue(invocation: InvocationRequest): Promise<void> {
		const { invocations, artifacts } = this.#services;
		try {
			await invocations.enqueue(invocation);
			this.#services.spans.ended(invocation, "queued");
		} catch (error) {
			await artifacts.queued.removeBody(invocation.body);
			throw error;
		}
	}

	async #read(
		request: Request,
		version: Version,
		trigger: Trigger,
	): Promise<{
		readonly bytes: Buffer;
		readonly timeoutMs: number;
		readonly trace: TraceContext | undefined;
		readonly rest?: RequestBody;
	}> {
		const timeoutMs = timeoutOf(request, version);
		const { bodies, streams } = this.#services;
		if (trigger.kind === "http" && request.method !== "HEAD") {
			const body = await RequestBody.of(request, bodies, version, streams);
			const more = { timeoutMs, trace: traceIn(request.headers) };
			return body instanceof RequestBody ? { ...more, bytes: EMPTY, rest: body } : { ...more, bytes: body };
		}
		const bytes = await bodies.read(request, FIXED_LIMITS.bodyBytes);
		// What a handler would be given parsed: that it can't be is the caller's mistake, said before anything is accepted.
		if (trigger.kind === "event" && bytes.length > 0 && isJson(trigger.contentType)) parseJson(bytes, "the payload");
		return { bytes, timeoutMs, trace: traceIn(request.headers) };
	}

	async #accept(version: Version, accepting: Accepting, interactive: boolean): Promise<InvocationRequest> {
		const { trigger, bytes, timeoutMs, origin, trace, id, callback, runAtMs } = accepting;
		const source = origin === undefined ? accepting.source : "function";
		const { payloads, queued } = this.#services.artifacts;
		const body = interactive ? await payloads.putBody(bytes, "fleeting") : await queued.putBody(bytes, "durable", BACKGROUND_INLINE_BYTES);
		const acceptedAtMs = Date.now();
		const { depth, parent, deadlineMs = Number.POSITIVE_INFINITY } = origin ?? {};
		return {
			id: id ?? newId("inv", acceptedAtMs),
			project: version.project,
			function: version.function,
			version: version.number,
			trigger,
			body,
			acceptedAtMs,
			...(interactive ? { expiresAtMs: Math.min(acceptedAtMs + FIXED_LIMITS.startMs + timeoutMs + SLACK_MS, deadlineMs) } : {}),
			timeoutMs,
			...(depth === undefined ? {} : { depth }),
			...(source === undefined ? {} : { source }),
			...(parent === undefined ? {} : { parent }),
			...(interactive ? {} : { ...followUpsOf(version, callback), ...retryOf(version) }),
			...(runAtMs === undefined ? {} : { runAtMs }),
			trace: this.#services.spans.begin(trace),
		};
	}
}

function acceptedOf({ id, runAtMs }: InvocationRequest): AcceptedInvocation {
	return { id, state: "queued", ...(runAtMs === undefined ? {} : { runAt: new Date(runAtMs).toISOString() }) };
}

/** Whether nobody waits for the result. @throws BerthError invalid_request */
function isAsync({ headers, query }: Request): boolean {
	const mode = wordFrom(query["mode"], "mode", ["async", "sync"]);
	return mode === undefined ? RESPOND_ASYNC.test(String(headers["prefer"] ?? "")) : mode === "async";
}

/** What an attempt says of how long invocations wait and run. */
function drainedBy({ attempt: { phases } }: Settlement): Drained {
	return { waitedMs: phases.queueMs + phases.startMs, ranMs: phases.initMs + phases.runMs };
}

/** The version's timeout, or the caller's shorter one. @throws BerthError invalid_request */
function timeoutOf(request: Request, { manifest }: Version): number {
	const asked = request.headers[HEADERS.timeoutMs];
	if (asked === undefined) return manifest.timeoutMs;
	const { min } = LIMITS.timeoutMs;
	const value = typeof asked === "string" && /^\d{1,9}$/.test(asked) ? Number(asked) : 0;
	if (value >= min) return Math.min(value, manifest.timeoutMs);
	const message = `a whole number of milliseconds, at least ${min}; more than the function's timeout of ${manifest.timeoutMs} counts as that`;
	throw new BerthError("invalid_request", `${HEADERS.timeoutMs}: ${message}`, { issues: [{ field: HEADERS.timeoutMs, message }] });
}

/** `/orders?id=1` of `/fn/default/shop/orders?id=1`, as it came: nothing is decoded on the way. */
function urlBelow(target: string): string {
	// A proxy's form of a target has the origin in front (RFC 9112, 3.2.2).
	const local = target.startsWith("/") ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, "");
	const query = local.indexOf("?");
	const path = query < 0 ? local : local.slice(0, query);
	let at = 0;
	// Past `/fn`, the project and the name.
	for (let slashes = 0; slashes < 3 && at >= 0; slashes++) at = path.indexOf("/", at + 1);
	return `${at < 0 ? "/" : path.slice(at)}${query < 0 ? "" : local.slice(query)}`;
}
