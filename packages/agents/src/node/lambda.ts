import type { HttpRequestHead } from "@berth/contracts/agent";
import type { Context } from "./context.js";
import { describe, isResponse, JSON_TYPE, MOST_HEADERS, type Reply, replyOf } from "./payload.js";
import { isPieces, yielded } from "./pieces.js";
import { ReplyError } from "./reply-error.js";

/**
 * An HTTP request as the event of a function URL, payload format 2.0 (AWS Lambda developer guide,
 * "Invoking Lambda function URLs"): a handler written for one runs here as it stands.
 */
export function lambdaEvent(body: Uint8Array, request: HttpRequestHead, context: Context): object {
	const url = new URL(`http://function${request.url}`);
	const headers = joinedHeaders(request);
	const { cookie, ...others } = headers;
	const text = utf8(body);
	const now = Date.now();
	return {
		version: "2.0",
		routeKey: "$default",
		rawPath: url.pathname,
		rawQueryString: url.search.slice(1),
		...(cookie === undefined ? {} : { cookies: cookie.split("; ") }),
		headers: others,
		...(url.search.length > 1 ? { queryStringParameters: joinedQuery(url) } : {}),
		requestContext: {
			accountId: "anonymous",
			apiId: context.function.name,
			domainName: headers["host"] ?? "",
			domainPrefix: context.function.name,
			http: {
				method: request.method,
				path: url.pathname,
				protocol: "HTTP/1.1",
				sourceIp: headers["x-forwarded-for"] ?? "",
				userAgent: headers["user-agent"] ?? "",
			},
			requestId: context.invocationId,
			routeKey: "$default",
			stage: "$default",
			time: new Date(now).toISOString(),
			timeEpoch: now,
		},
		...(body.length > 0 ? { body: text ?? Buffer.from(body).toString("base64") } : {}),
		isBase64Encoded: body.length > 0 && text === undefined,
	};
}

interface StructuredReply {
	readonly statusCode: number;
	readonly headers?: unknown;
	readonly cookies?: unknown;
	readonly body?: string | AsyncIterable<unknown> | Iterator<unknown>;
	readonly isBase64Encoded?: boolean;
}

/** `{statusCode, headers, cookies, body, isBase64Encoded}`, or any value as 200 JSON. @throws ReplyError */
export async function lambdaReply(value: unknown, asEvents: boolean): Promise<Reply> {
	if (isResponse(value) || !isStructured(value)) return replyOf(value, true, asEvents);
	const status = statusOf(value);
	const headers = headersOf(value);
	const hasType = headers.some(([name]) => name === "content-type");
	if (isPieces(value.body)) {
		const { contentType, ...pieces } = await yielded(value.body, asEvents);
		if (!hasType) headers.push(["content-type", contentType]);
		return { ...pieces, response: { status, headers } };
	}
	if (!hasType) headers.push(["content-type", JSON_TYPE]);
	const body = Buffer.from(value.body ?? "", value.isBase64Encoded === true ? "base64" : "utf8");
	return { body, response: { status, headers } };
}

function isStructured(value: unknown): value is StructuredReply {
	return typeof value === "object" && value !== null && typeof (value as StructuredReply).statusCode === "number";
}

function statusOf({ statusCode }: StructuredReply): number {
	if (Number.isInteger(statusCode) && statusCode >= 200 && statusCode <= 599) return statusCode;
	throw new ReplyError(`the handler returned statusCode ${statusCode}; it is a whole number from 200 to 599`);
}

function headersOf({ headers, cookies }: StructuredReply): [string, string][] {
	if (typeof (headers ?? {}) !== "object" || Array.isArray(headers))
		throw new ReplyError(`the handler returned headers that are ${describe(headers)}; they are an object, as in {"x-name": "value"}`);
	if (!Array.isArray(cookies ?? []))
		throw new ReplyError(`the handler returned cookies that are ${describe(cookies)}; they are a list, as in ["name=value"]`);
	const all = Object.entries(headers ?? {}).map(([name, value]): [string, string] => [name.toLowerCase(), textOf(name, value)]);
	for (const cookie of (cookies ?? []) as unknown[]) all.push(["set-cookie", textOf("cookies", cookie)]);
	if (all.length > MOST_HEADERS) throw new ReplyError(`the handler returned ${all.length} headers; ${MOST_HEADERS} is the most`);
	return all;
}

function textOf(name: string, value: unknown): string {
	if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
	throw new ReplyError(`the handler returned a header ${JSON.stringify(name)} that is ${describe(value)}; it is text or a number`);
}

function joinedHeaders(request: HttpRequestHead): Record<string, string> {
	const joined: Record<string, string> = {};
	for (const [name, value] of request.headers) {
		const before = joined[name];
		joined[name] = before === undefined ? value : `${before}${name === "cookie" ? "; " : ","}${value}`;
	}
	return joined;
}

function joinedQuery(url: URL): Record<string, string> {
	const joined: Record<string, string> = {};
	for (const [name, value] of url.searchParams) {
		const before = joined[name];
		joined[name] = before === undefined ? value : `${before},${value}`;
	}
	return joined;
}

function utf8(body: Uint8Array): string | undefined {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
	} catch {
		return undefined;
	}
}
