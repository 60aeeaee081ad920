import fc from "fast-check";
import { nearly, oddTexts, type Schema, valuesOf } from "./schema-values.js";

interface Operation {
	readonly parameters?: readonly { readonly name: string; readonly in: string }[];
	readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
	readonly responses: Readonly<Record<string, unknown>>;
}

/** The document that the gateway serves, as far as requests are made from it. */
export interface Document {
	readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** A request that the document leads to, more or less. */
export interface Asked {
	/** As the document has the path. */
	readonly template: string;
	readonly method: string;
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	/** Which key it has: an index, or none; the first is taken most. */
	readonly key: number | undefined;
	readonly body?: Uint8Array | undefined;
}

/** What is there to be found: values of parameters by name. */
export type Known = Readonly<Record<string, readonly string[]>>;

const METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND"];
const TYPES = [
	"application/json",
	"application/json; charset=utf-8",
	"application/vnd.x+json",
	"text/plain",
	"application/gzip",
	"application/zip",
	"application/x-www-form-urlencoded",
	"",
	"nonsense",
	"multipart/form-data",
];
/** Headers that mean something somewhere. */
const HEADER_NAMES = [
	...[
		"prefer",
		"accept",
		"content-encoding",
		"idempotency-key",
		"berth-timeout-ms",
		"berth-project",
		"berth-manifest",
		"berth-run-at",
		"berth-callback-url",
	],
	...[
		"last-event-id",
		"traceparent",
		"tracestate",
		"if-none-match",
		"range",
		"origin",
		"cookie",
		"x-forwarded-for",
		"x-http-method-override",
		"te",
		"x-own",
	],
	...[
		"access-control-request-method",
		"access-control-request-headers",
		"authorization-x",
		"berth-caller",
		"berth-hook",
		"berth-joined",
		"berth-invoking",
	],
];
const HEADER_VALUES = [
	"respond-async",
	"text/event-stream",
	"text/plain",
	"application/json",
	"gzip",
	"identity",
	"1",
	"100",
	"-1",
	"default",
	"rival",
	"{}",
	'{"memoryMiB":256}',
	"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	"bytes=0-1",
	"null",
	"https://evil.example",
	"a=b; c=d",
	"DELETE",
	"x".repeat(300),
	"ä",
	"\t",
];

/** Requests made from the document: valid ones, nearly valid ones, and what is neither. @param keys how many there are */
export function requestsOf(document: Document, known: Known, keys: number): fc.Arbitrary<Asked> {
	const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
		Object.entries(methods).map(([method, operation]) => asking(template, method.toUpperCase(), operation, known, keys)),
	);
	const anywhere = fc
		.tuple(fc.array(segments, { maxLength: 6 }), fc.constantFrom(...METHODS), headers, fc.option(fc.nat(keys - 1), { nil: undefined }))
		.map(([parts, method, more, key]): Asked => ({ template: "*", method, path: `/${parts.join("/")}`, headers: more, key }));
	return fc.oneof({ weight: 30, arbitrary: fc.oneof(...operations) }, { weight: 1, arbitrary: anywhere });
}

/** Any bytes that a request line may have, escaped or not. */
const segments = fc.oneof(
	oddTexts.map(escaped),
	fc.constantFrom("v1", "fn", "hook", "functions", "..", ".", "", "%2F", "%E0%A4%A", "a;b", "a,b", "*", ":name", "{name}"),
);
const values = fc.oneof(
	fc.constantFrom(...HEADER_VALUES),
	oddTexts.map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, "").trim()),
);
const headers = fc.dictionary(fc.constantFrom(...HEADER_NAMES), values, { maxKeys: 3 });

function asking(
	template: string,
	method: string,
	{ parameters = [], requestBody }: Operation,
	known: Known,
	keys: number,
): fc.Arbitrary<Asked> {
	const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
	const filled = fc.tuple(...names.map((name) => parametersOf(name, known)));
	const queries = parameters.filter((one) => one.in === "query").map(({ name }) => name);
	const schema = requestBody?.content["application/json"]?.schema;
	return fc
		.record({
			filled,
			query: queryOf(queries),
			method: fc.oneof({ weight: 12, arbitrary: fc.constant(method) }, { weight: 1, arbitrary: fc.constantFrom(...METHODS) }),
			headers: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: headers }),
			type: fc.oneof({ weight: 6, arbitrary: fc.constant("application/json") }, { weight: 1, arbitrary: fc.constantFrom(...TYPES) }),
			key: fc.oneof(
				{ weight: 12, arbitrary: fc.constant(0) },
				{ weight: 3, arbitrary: fc.nat(keys - 1) },
				{ weight: 1, arbitrary: fc.constant(undefined) },
			),
			body: bodiesOf(schema),
		})
		.map((made): Asked => {
			const path = names.reduce((text, name, at) => text.replace(`{${name}}`, () => made.filled[at] as string), template);
			const withBody = made.body !== undefined && made.method !== "GET" && made.method !== "HEAD";
			const type = withBody && made.type !== "" ? { "content-type": made.type } : {};
			const body = withBody ? { body: made.body } : {};
			return { template, method: made.method, path: path + made.query, headers: { ...made.headers, ...type }, key: made.key, ...body };
		});
}

function parametersOf(name: string, known: Known): fc.Arbitrary<string> {
	const found = known[name] ?? [];
	const others = oddTexts.map(escaped);
	return found.length === 0 ? others : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...found) }, { weight: 1, arbitrary: others });
}

function queryOf(names: readonly string[]): fc.Arbitrary<string> {
	const name =
		names.length === 0 ? oddTexts : fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: oddTexts });
	const value = fc.oneof(
		fc.constantFrom("true", "false", "1", "10", "async", "sync", "hello", "2026-11-26T00:00:00Z", "10ms", "succeeded", "error"),
		oddTexts,
	);
	const some = fc
		.array(fc.tuple(name, value), { minLength: 1, maxLength: 3 })
		.map((pairs) => `?${pairs.map((pair) => pair.map(escaped).join("=")).join("&")}`);
	return fc.oneof({ weight: 2, arbitrary: fc.constant("") }, { weight: 1, arbitrary: some });
}

function bodiesOf(schema: Schema | undefined): fc.Arbitrary<Uint8Array | undefined> {
	const garbage = fc.oneof(
		fc.uint8Array({ maxLength: 300 }),
		fc.json({ maxDepth: 3 }).map(bytes),
		fc
			.constantFrom("", "{", '{"a":1', "null", '"', "[[[[", '{"__proto__":{"public":true}}', '{"a":1,"a":2}', "\ufeff{}", "1e999")
			.map(bytes),
	);
	if (schema === undefined) return fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: garbage });
	const valid = valuesOf(schema);
	return fc.oneof(
		{ weight: 4, arbitrary: valid.map((value) => bytes(JSON.stringify(value) ?? "")) },
		{ weight: 4, arbitrary: nearly(valid).map((value) => bytes(JSON.stringify(value) ?? "")) },
		{ weight: 1, arbitrary: garbage },
	);
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** As a path or a query may have it; half a surrogate pair becomes what stands for such. */
function escaped(text: string): string {
	return encodeURIComponent(text.toWellFormed()).replace(/%25(?=[0-9a-zA-Z]{2}|$)/g, "%");
}
