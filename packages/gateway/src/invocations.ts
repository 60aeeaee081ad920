import { isUtf8 } from "node:buffer";
import {
	BerthError,
	type BodyReference,
	ERRORS,
	type ErrorCode,
	FIXED_LIMITS,
	HEADERS,
	INLINE_BODY_BYTES,
	type InvocationRequest,
	LIMITS,
	newId,
	type Phases,
	problemOf,
	type Settlement,
	type StartKind,
	type Trigger,
	type Version,
} from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";
import type { Request, Response } from "express";
import { authenticate } from "./auth.js";
import { readBody } from "./body.js";
import { writeFunctionHeaders } from "./function-headers.js";
import { nameFrom } from "./names.js";
import { nodeFor } from "./placement.js";
import { sendProblem } from "./problems.js";
import type { Services } from "./services.js";

/** What the way there and back may add to an invocation's start and run before its caller gives up, milliseconds. */
const SLACK_MS = 2000;

/** Accepts invocations and answers them; counts those that are waited for. */
export class Invocations {
	readonly #services: Services;
	#inflight = 0;

	constructor(services: Services) {
		this.#services = services;
	}

	/** `POST /v1/functions/{name}/invocations` */
	async event(request: Request, response: Response): Promise<void> {
		const { project } = await authenticate(request, this.#services.keys);
		const version = await this.#services.functions.resolve(project, nameFrom(request.params["name"]));
		const contentType = request.headers["content-type"];
		const trigger: Trigger = { kind: "event", ...(contentType === undefined ? {} : { contentType }) };
		if (prefersAsync(request)) await this.#enqueue(request, response, version, trigger);
		else await this.#run(request, response, version, trigger, true);
	}

	/** Any method on `/fn/{project}/{name}/…` */
	async http(request: Request, response: Response): Promise<void> {
		const project = nameFrom(request.params["project"], "project");
		const name = nameFrom(request.params["name"]);
		const version = await this.#resolveFor(request, project, name);
		const trigger: Trigger = {
			kind: "http",
			request: { method: request.method, url: urlBelow(request), headers: headersFor(request, version) },
		};
		await this.#run(request, response, version, trigger, !version.manifest.public);
	}

	/** A function that isn't public is not to be told from one that isn't there, without a key of its project. */
	async #resolveFor(request: Request, project: string, name: string): Promise<Version> {
		const version = await this.#services.functions.resolve(project, name).catch((error: unknown) => {
			if (error instanceof BerthError && error.code !== "unavailable") return error;
			throw error;
		});
		if (!(version instanceof BerthError) && version.manifest.public) return version;
		const principal = await authenticate(request, this.#services.keys);
		if (principal.project !== project) throw new BerthError("function_not_found", `there is no function ${JSON.stringify(name)}`);
		if (version instanceof BerthError) throw version;
		return version;
	}

	async #run(request: Request, response: Response, version: Version, trigger: Trigger, trusted: boolean): Promise<void> {
		if (this.#inflight >= this.#services.maxInflight) {
			throw new BerthError("too_busy", `${this.#services.maxInflight} invocations are in flight already; try again`);
		}
		this.#inflight++;
		try {
			const { project, function: name } = version;
			const node = nodeFor(this.#services.nodes, project, name);
			const invocation = await this.#invocationOf(request, version, trigger, true);
			this.#services.metrics.accepted("interactive");
			const settlement = await this.#services.invocations.run(node, invocation);
			await this.#answer(response, invocation, settlement, trusted);
		} finally {
			this.#inflight--;
		}
	}

	async #enqueue(request: Request, response: Response, version: Version, trigger: Trigger): Promise<void> {
		const invocation = await this.#invocationOf(request, version, trigger, false);
		await this.#services.invocations.enqueue(invocation);
		this.#services.metrics.accepted("background");
		response.setHeader(HEADERS.invocationId, invocation.id);
		response.setHeader("preference-applied", "respond-async");
		response.status(202).location(`/v1/invocations/${invocation.id}`).json({ id: invocation.id, state: "queued" });
	}

	async #invocationOf(request: Request, version: Version, trigger: Trigger, interactive: boolean): Promise<InvocationRequest> {
		const timeoutMs = timeoutOf(request, version);
		const body = await bodyOf(await readBody(request, FIXED_LIMITS.bodyBytes), this.#services.artifacts);
		const acceptedAtMs = Date.now();
		return {
			id: newId("inv"),
			project: version.project,
			function: version.function,
			version: version.number,
			trigger,
			body,
			acceptedAtMs,
			...(interactive ? { expiresAtMs: acceptedAtMs + FIXED_LIMITS.startMs + timeoutMs + SLACK_MS } : {}),
			timeoutMs,
		};
	}

	async #answer(response: Response, { id }: InvocationRequest, { attempt, result }: Settlement, trusted: boolean): Promise<void> {
		response.setHeader(HEADERS.invocationId, id);
		response.setHeader(HEADERS.outcome, attempt.outcome);
		response.setHeader(HEADERS.serverTiming, serverTiming(attempt.phases, attempt.start));
		if (result === undefined) {
			sendProblem(response, failureOf(id, attempt, trusted));
			return;
		}
		const { payloads } = this.#services.artifacts;
		const body = "payload" in result.body ? await payloads.get(result.body.payload) : inlineBytes(result.body);
		if ("payload" in result.body) await payloads.remove(result.body.payload);
		if (result.response === undefined) {
			response.statusCode = body.length === 0 ? 204 : 200;
			if (result.contentType !== undefined) response.setHeader("content-type", result.contentType);
		} else {
			response.statusCode = result.response.status;
			writeFunctionHeaders(response, result.response.headers);
		}
		response.end(body);
	}
}

/** Bytes on their way to a worker: in the message when they are few, else in the payload store. */
async function bodyOf(bytes: Buffer, { payloads }: ArtifactStore): Promise<BodyReference> {
	if (bytes.length > INLINE_BODY_BYTES) return { payload: await payloads.put(bytes), sizeBytes: bytes.length };
	return isUtf8(bytes) ? { text: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
}

function inlineBytes(body: Exclude<BodyReference, { readonly payload: string }>): Buffer {
	return "text" in body ? Buffer.from(body.text) : Buffer.from(body.base64, "base64");
}

function prefersAsync(request: Request): boolean {
	return /(?:^|,)\s*respond-async\s*(?:,|;|$)/.test(String(request.headers["prefer"] ?? "")) || request.query["mode"] === "async";
}

/** The version's timeout, or the caller's shorter one. @throws BerthError invalid_request */
function timeoutOf(request: Request, { manifest }: Version): number {
	const asked = request.headers[HEADERS.timeoutMs];
	if (asked === undefined) return manifest.timeoutMs;
	const { min } = LIMITS.timeoutMs;
	const value = Number(asked);
	if (!Number.isInteger(value) || value < min) {
		const message = `a whole number of milliseconds from ${min} to the function's timeout of ${manifest.timeoutMs}`;
		throw new BerthError("invalid_request", `${HEADERS.timeoutMs}: ${message}`, { issues: [{ field: HEADERS.timeoutMs, message }] });
	}
	return Math.min(value, manifest.timeoutMs);
}

/** `/orders?id=1` of `/fn/default/shop/orders?id=1`, as it came: nothing is decoded on the way. */
function urlBelow(request: Request): string {
	const [path = "", query] = request.originalUrl.split(/(?=\?)/, 2);
	const rest = path.split("/").slice(4).join("/");
	return `/${rest}${query ?? ""}`;
}

/** Every header as it was sent; a key of ours isn't the function's to see. */
function headersFor(request: Request, { manifest }: Version): readonly (readonly [string, string])[] {
	const raw = request.rawHeaders;
	const pairs: [string, string][] = [];
	for (let i = 0; i < raw.length; i += 2) {
		const name = (raw[i] as string).toLowerCase();
		if (name === "authorization" && !manifest.public) continue;
		pairs.push([name, raw[i + 1] as string]);
	}
	return pairs;
}

function serverTiming({ queueMs, startMs, initMs, runMs }: Phases, start: StartKind | undefined): string {
	const kind = start === undefined ? "" : `;desc=${start}`;
	return `queue;dur=${queueMs.toFixed(2)}, start;dur=${startMs.toFixed(2)}${kind}, init;dur=${initMs.toFixed(2)}, run;dur=${runMs.toFixed(2)}`;
}

/** A failed attempt as a problem. The stack is for those who hold a key. */
function failureOf(id: string, attempt: Settlement["attempt"], trusted: boolean) {
	const code: ErrorCode = attempt.code !== undefined && attempt.code in ERRORS ? (attempt.code as ErrorCode) : "platform_error";
	const detail =
		attempt.error === undefined
			? ERRORS[code].title
			: trusted || attempt.outcome !== "handler_error"
				? `${attempt.error.name}: ${attempt.error.message}`
				: ERRORS[code].title;
	return problemOf(code, detail, [], {
		invocation: id,
		outcome: attempt.outcome,
		limitsHit: attempt.limitsHit,
		...(trusted && attempt.error !== undefined ? { error: attempt.error } : {}),
	});
}
