import type { IncomingMessage, ServerResponse } from "node:http";
import { CountingServer } from "./counting-server.js";

/** A span as a collector understands it. */
export interface CollectedSpan {
	readonly resource: Readonly<Record<string, unknown>>;
	readonly traceId: string;
	readonly spanId: string;
	readonly parentSpanId?: string;
	readonly name: string;
	readonly kind: number;
	readonly startMs: number;
	readonly endMs: number;
	readonly attributes: Readonly<Record<string, unknown>>;
	readonly status?: { readonly code: number; readonly message: string };
}

/** An OTLP/HTTP receiver that takes nothing but what the protocol's JSON has: fields, types and encodings of opentelemetry-proto 1.x. */
export class OtlpCollector extends CountingServer {
	readonly spans: CollectedSpan[] = [];

	private constructor() {
		super();
		this.instead = (request, response) => {
			void this.#take(request, response);
			return true;
		};
	}

	static async start(): Promise<OtlpCollector> {
		return await new OtlpCollector().listen();
	}

	protected answer(_path: string, response: ServerResponse): void {
		response.writeHead(404).end();
	}

	async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const chunks: Buffer[] = [];
		for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
		try {
			if (request.method !== "POST" || request.url !== "/v1/traces") throw new Error(`${request.method} ${request.url}`);
			if (request.headers["content-type"] !== "application/json") throw new Error(`${request.headers["content-type"]}`);
			this.spans.push(...spansIn(JSON.parse(Buffer.concat(chunks).toString())));
			response.writeHead(200, { "content-type": "application/json" }).end("{}");
		} catch (error) {
			response.writeHead(400).end(String(error));
		}
	}
}

type Fields = Readonly<Record<string, unknown>>;

function spansIn(request: unknown): CollectedSpan[] {
	return listIn(fieldsOf(request, ["resourceSpans"])["resourceSpans"]).flatMap((one) => {
		const { resource, scopeSpans } = fieldsOf(one, ["resource", "scopeSpans"]);
		const attributes = attributesIn(fieldsOf(resource, ["attributes"])["attributes"]);
		return listIn(scopeSpans).flatMap((each) => {
			const { scope, spans } = fieldsOf(each, ["scope", "spans"]);
			textIn(fieldsOf(scope, ["name"])["name"], /./);
			return listIn(spans).map((span) => spanIn(span, attributes));
		});
	});
}

function spanIn(span: unknown, resource: Fields): CollectedSpan {
	const known = ["traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status"];
	const { traceId, spanId, parentSpanId, name, kind, startTimeUnixNano, endTimeUnixNano, attributes, status } = fieldsOf(span, known);
	if (typeof kind !== "number" || !Number.isInteger(kind) || kind < 1 || kind > 5) throw new Error(`kind ${kind}`);
	const [startMs, endMs] = [startTimeUnixNano, endTimeUnixNano].map((time) => Number(textIn(time, /^\d{19}$/)) / 1e6) as [number, number];
	if (endMs < startMs) throw new Error(`${name} ends before it starts`);
	return {
		resource,
		traceId: textIn(traceId, /^[0-9a-f]{32}$/),
		spanId: textIn(spanId, /^[0-9a-f]{16}$/),
		...(parentSpanId === undefined ? {} : { parentSpanId: textIn(parentSpanId, /^[0-9a-f]{16}$/) }),
		name: textIn(name, /./),
		kind,
		startMs,
		endMs,
		attributes: attributesIn(attributes),
		...(status === undefined ? {} : { status: statusIn(status) }),
	};
}

function statusIn(status: unknown): NonNullable<CollectedSpan["status"]> {
	const { code, message } = fieldsOf(status, ["code", "message"]);
	if (code !== 1 && code !== 2) throw new Error(`status ${code}`);
	return { code, message: textIn(message, /^/) };
}

function attributesIn(list: unknown): Fields {
	return Object.fromEntries(
		listIn(list).map((one) => {
			const { key, value } = fieldsOf(one, ["key", "value"]);
			return [textIn(key, /./), valueIn(value)];
		}),
	);
}

function valueIn(value: unknown): unknown {
	const { stringValue, boolValue, intValue, doubleValue } = fieldsOf(value, ["stringValue", "boolValue", "intValue", "doubleValue"]);
	if (Object.keys(value as object).length !== 1) throw new Error("a value is one of its kinds");
	if (intValue !== undefined) return Number(textIn(intValue, /^-?\d+$/));
	if (stringValue !== undefined) return textIn(stringValue, /^/);
	if (typeof boolValue === "boolean" || typeof doubleValue === "number") return boolValue ?? doubleValue;
	throw new Error(JSON.stringify(value));
}

function fieldsOf(value: unknown, known: readonly string[]): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${JSON.stringify(value)} is no object`);
	const unknown = Object.keys(value).find((name) => !known.includes(name));
	if (unknown !== undefined) throw new Error(`there is no field ${unknown}`);
	return value as Fields;
}

function listIn(value: unknown): readonly unknown[] {
	if (!Array.isArray(value)) throw new Error(`${JSON.stringify(value)} is no list`);
	return value;
}

function textIn(value: unknown, pattern: RegExp): string {
	if (typeof value !== "string" || !pattern.test(value)) throw new Error(`${JSON.stringify(value)} isn't ${pattern}`);
	return value;
}
