import fc from "fast-check";

/** As much of JSON Schema as zod writes. */
export interface Schema {
	readonly type?: string | readonly string[];
	readonly enum?: readonly unknown[];
	readonly const?: unknown;
	readonly anyOf?: readonly Schema[];
	readonly oneOf?: readonly Schema[];
	readonly allOf?: readonly Schema[];
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly required?: readonly string[];
	readonly additionalProperties?: boolean | Schema;
	readonly propertyNames?: Schema;
	readonly items?: Schema;
	readonly minItems?: number;
	readonly maxItems?: number;
	readonly pattern?: string;
	readonly minLength?: number;
	readonly maxLength?: number;
	readonly minimum?: number;
	readonly maximum?: number;
	readonly $ref?: string;
	readonly $defs?: Readonly<Record<string, Schema>>;
}

/** What is tried where text is wanted: words that mean something somewhere, and what breaks things. */
export const ODD_TEXTS = [
	...["", " ", "a", "hello", "rival", "live", "default", "__proto__", "constructor", "toString", "null", "0", "-1", "1e3", "00001"],
	...["1", "2", "9007199254740993", "99999999999999999999", "true", "NaN", "..", "../..", "a/b", "%2e%2e", "%", "%zz", "a%00b", "a\0b"],
	...[
		"a\r\nb",
		"ä",
		"\u202e",
		"💥",
		"\ud800",
		"a".repeat(64),
		"a".repeat(5000),
		"{",
		"[]",
		"'; --",
		"$(id)",
		"<a>",
		"https://callback.invalid/x",
	],
	...["10s", "2026-11-26T00:00:00Z", "* * * * *", "hello@live", "hello@1", "hello@", "@", "128MiB", "256", "node24", "key-nothere"],
] as const;

const odd = fc.oneof(
	{ weight: 4, arbitrary: fc.constantFrom(...ODD_TEXTS) },
	{ weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
);
const FEW = 3;
const DEEPEST = 5;

/** Values that a schema allows, or nearly so: what it says in words alone, as `format`, isn't kept to. */
export function valuesOf(schema: Schema, defs = schema.$defs ?? {}, depth = 0): fc.Arbitrary<unknown> {
	const inner = (one: Schema) => valuesOf(one, defs, depth + 1);
	if (depth > DEEPEST) return fc.constantFrom(null, 1, "deep");
	if (schema.$ref !== undefined) return inner(defs[schema.$ref.split("/").at(-1) ?? ""] ?? {});
	if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
	if ("const" in schema) return fc.constant(schema.const);
	const choices = schema.anyOf ?? schema.oneOf;
	if (choices !== undefined) return fc.oneof(...choices.map(inner));
	if (schema.allOf !== undefined) return fc.oneof(...schema.allOf.map(inner));
	const { type } = schema;
	if (Array.isArray(type)) return fc.oneof(...type.map((one) => inner({ ...schema, type: one })));
	if (type === "object") return objectsOf(schema, inner);
	if (type === "array") return fc.array(inner(schema.items ?? {}), { minLength: Math.min(schema.minItems ?? 0, FEW), maxLength: FEW });
	if (type === "string") return textsOf(schema);
	if (type === "integer" || type === "number") return numbersOf(schema);
	if (type === "boolean") return fc.boolean();
	if (type === "null") return fc.constant(null);
	return fc.jsonValue({ maxDepth: 2 });
}

function objectsOf(
	{ properties = {}, required = [], additionalProperties, propertyNames }: Schema,
	inner: (one: Schema) => fc.Arbitrary<unknown>,
) {
	const known = fc.record(Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, inner(one)])), {
		requiredKeys: required.filter((name) => name in properties),
	});
	if (typeof additionalProperties !== "object") return known;
	const names = propertyNames === undefined ? odd : inner(propertyNames).map(String);
	const more = fc.dictionary(names, inner(additionalProperties), { maxKeys: FEW });
	return fc.tuple(known, more).map(([first, second]) => ({ ...second, ...first }));
}

function textsOf({ pattern, minLength = 0, maxLength = 40 }: Schema): fc.Arbitrary<string> {
	const plain = fc.string({ minLength: Math.min(minLength, 40), maxLength: Math.max(Math.min(maxLength, 40), Math.min(minLength, 40)) });
	return pattern === undefined
		? fc.oneof(plain, odd)
		: fc.oneof({ weight: 3, arbitrary: matching(pattern) ?? plain }, { weight: 1, arbitrary: odd });
}

/** What of patterns isn't known there, as looking ahead, has no values made for it. */
function matching(pattern: string): fc.Arbitrary<string> | undefined {
	try {
		return fc.stringMatching(new RegExp(pattern, "u"), { maxLength: 60 });
	} catch {
		return undefined;
	}
}

function numbersOf({ type, minimum = -1000, maximum = 2 ** 40 }: Schema): fc.Arbitrary<number> {
	const [min, max] = [Math.max(minimum, -(2 ** 52)), Math.min(maximum, 2 ** 52)];
	const within = type === "integer" ? fc.integer({ min: Math.ceil(min), max: Math.floor(max) }) : fc.double({ min, max, noNaN: true });
	return fc.oneof({ weight: 4, arbitrary: within }, { weight: 1, arbitrary: fc.constantFrom(min, max, min - 1, max + 1, 0.5, -0, 1e308) });
}

/** Nearly such a value: something in it is missing, too much, or another thing. */
export function nearly(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
	const junk = fc.oneof(odd, fc.constantFrom<unknown>(null, true, -1, 1e308, [], {}, [[]], { a: 1 }), fc.jsonValue({ maxDepth: 1 }));
	return fc.tuple(value, fc.nat(), fc.constantFrom("drop", "add", "replace"), odd, junk).map(([whole, at, how, name, other]) => {
		if (typeof whole !== "object" || whole === null) return other;
		const entries = Object.entries(whole);
		const place = entries.length === 0 ? -1 : at % entries.length;
		if (how === "add" || place < 0) return { ...whole, [name]: other };
		const changed =
			how === "drop"
				? entries.filter((_, index) => index !== place)
				: entries.map(([key, one], index) => [key, index === place ? other : one]);
		return Array.isArray(whole) ? changed.map(([, one]) => one) : Object.fromEntries(changed as [string, unknown][]);
	});
}

export { odd as oddTexts };
