import type { HttpRequestHead } from "@berth/contracts/agent";
import type { Context } from "./context.js";
import { isResponse, JSON_TYPE, type Reply, replyOf } from "./payload.js";
import { isPieces, yielded } from "./pieces.js";

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
	readonly headers?: Readonly<Record<string, string | number | boolean>>;
	readonly cookies?: readonly string[];
	readonly body?: string | AsyncIterable<unknown> | Iterator<unknown>;
	readonly isBase64Encoded?: boolean;
}

/** `{statusCode, headers, cookies, body, isBase64Encoded}`, or any value as 200 JSON. */
export async function lambdaReply(value: unknown, asEvents: boolean): Promise<Reply> {
	if (isResponse(value) || !isStructured(value)) return replyOf(value, true, asEvents);
	const headers = Object.entries(value.headers ?? {}).map(([name, text]): [string, string] => [name.toLowerCase(), String(text)]);
	for (const cookie of value.cookies ?? []) headers.push(["set-cookie", cookie]);
	const hasType = headers.some(([name]) => name === "content-type");
	if (isPieces(value.body)) {
		const { contentType, ...pieces } = await yielded(value.body, asEvents);
		if (!hasType) headers.push(["content-type", contentType]);
		return { ...pieces, response: { status: value.statusCode, headers } };
	}
	if (!hasType) headers.push(["content-type", JSON_TYPE]);
	const body = Buffer.from(value.body ?? "", value.isBase64Encoded === true ? "base64" : "utf8");
	return { body, response: { status: value.statusCode, headers } };
}

function isStructured(value: unknown): value is StructuredReply {
	return typeof value === "object" && value !== null && typeof (value as StructuredReply).statusCode === "number";
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
