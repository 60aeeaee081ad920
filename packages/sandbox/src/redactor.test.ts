import { execFileSync } from "node:child_process";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { errorShown, Redactor } from "./redactor.js";

const VALUE = 'sk_live/+? "ünïcode" 0123456789';
const redactor = Redactor.of({ KEY: VALUE, OTHER: "another secret", SHORT: "short" }) as Redactor;

test.each<[string, string]>([
	["as it is", VALUE],
	["in JSON", JSON.stringify({ value: VALUE }).slice(10, -2)],
	["in JSON as Python writes it", 'sk_live/+? \\"\\u00fcn\\u00efcode\\" 0123456789'],
	["in a URL", encodeURIComponent(VALUE)],
	["in a form", new URLSearchParams({ v: VALUE }).toString().slice(2)],
])("a secret is found %s", (_, text) => {
	expect(redactor.redact(`before ${text} between ${text}`)).toBe("before [secret:KEY] between [secret:KEY]");
});

test.each([0, 1, 2, 3, 4])("it is found in base64 behind %i other characters, with others behind it", (before) => {
	for (const encoding of ["base64", "base64url"] as const) {
		const text = Buffer.from(`${"u".repeat(before)}${VALUE}:and more`).toString(encoding);
		const shown = redactor.redact(text);
		expect(shown).toContain("[secret:KEY]");
		// No three bytes of it are left.
		expect(Buffer.from(shown.replace("[secret:KEY]", "|").split("|")[0] ?? "", encoding).toString()).not.toContain("sk_");
		expect(Buffer.from(shown.split("]").at(-1) ?? "", encoding).toString("latin1")).not.toContain("789");
	}
});

test("each line of one that has several is found, and of two that begin alike the longer", () => {
	const lines = Redactor.of({ PEM: "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n", A: "prefix-one", B: "prefix-one-more" });
	expect(lines?.redact("> MIIEvQIBADANBgkq")).toBe("> [secret:PEM]");
	expect(lines?.redact("prefix-one prefix-one-more prefix-on")).toBe("[secret:A] [secret:B] prefix-on");
});

test("what is too short isn't looked for, and without anything to look for there is nothing that looks", () => {
	expect(redactor.redact("a short one")).toBe("a short one");
	expect([Redactor.of({ SHORT: "short" }), Redactor.of({}), Redactor.of(undefined)]).toEqual([undefined, undefined, undefined]);
});

test("of a text that was cut nothing is left that may be the beginning of one", () => {
	const cut = redactor.redactCut(`${"x".repeat(500)} another secre`);
	expect(cut).toMatch(/^x+$/);
	const stack = `E: ${VALUE}\n${"x".repeat(40_000)}`.slice(0, 32_760) + VALUE.slice(0, 8);
	const shown = errorShown(redactor, { name: "E", message: `it is ${VALUE}`, stack });
	expect(shown).toMatchObject({ name: "E", message: "it is [secret:KEY]" });
	expect(shown.stack).toMatch(/^E: \[secret:KEY\]\nx+$/);
	expect(errorShown(undefined, { name: "E", message: VALUE })).toEqual({ name: "E", message: VALUE });
});

test("text that looks like the beginning of secrets everywhere is bounded work, and isn't shown", () => {
	const alike = Redactor.of(Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`S${at}`, `${"a".repeat(8190)}${at}`]))) as Redactor;
	expect(alike.redact("a".repeat(1 << 20))).toMatch(/^\[berth: /);
});

/** What is in need of an escape somewhere, and what isn't. */
const awkward = fc.oneof(
	{ weight: 3, arbitrary: fc.constantFrom(..."\\'\"`{$}\t\r\n\u00a0\u00ad\u2028üé€😀\ue000 ") },
	{ weight: 3, arbitrary: fc.constantFrom(..."abcXYZ0123") },
);
const someSecret = fc
	.array(awkward, { minLength: 12, maxLength: 60 })
	.map((signs) => `-----${signs.join("")}=====`)
	// What a line has that is too short is nothing to look for.
	.filter((value) => value.split(/\r?\n/).every((line) => line.length >= 8));
const surroundings = fc.constantFrom("", "it's ", 'a "b" ', 'it\'s "so" ', 'it\'s "so" `x` ', `\${x} `);

/** Of a value's signs, as they are and escaped, nothing in a text is to be left. */
function left(shown: string, value: string): boolean {
	return shown.includes("-----") || shown.includes("=====") || shown.includes(value);
}

test("no secret passes in an object that Node shows, whatever quotes and escapes it has, nor in JSON", () => {
	fc.assert(
		fc.property(someSecret, surroundings, surroundings, (value, before, after) => {
			const one = Redactor.of({ KEY: value }) as Redactor;
			const text = `${before}${value}${after}`;
			const forms = [
				inspect({ value, list: [value], deep: { [value]: text } }),
				inspect([`${before}${value}`]),
				inspect(text),
				inspect(new Map([[value, text]]), { breakLength: Number.POSITIVE_INFINITY }),
				JSON.stringify({ text, value }),
			];
			for (const form of forms) expect(left(one.redact(form), value), form).toBe(false);
		}),
		{ numRuns: 500 },
	);
});

test("nor in what Python shows: repr, ascii, bytes, JSON", () => {
	const [values, around] = [fc.sample(someSecret, 200), fc.sample(surroundings, 200)];
	const texts = values.map((value, at) => `${around[at]}${value}`);
	const program =
		"import json,sys\nfor v, t in json.load(sys.stdin): print(json.dumps([repr({'v': v, 't': t}), ascii([v, t]), repr(v.encode()), repr(t.encode()), json.dumps(t), str([t])]))";
	const input = JSON.stringify(values.map((value, at) => [value, texts[at]]));
	const lines = execFileSync("/usr/bin/python3", ["-c", program], { input, encoding: "utf8" }).trim().split("\n");
	expect(lines).toHaveLength(values.length);
	for (const [at, line] of lines.entries()) {
		const value = values[at] as string;
		const one = Redactor.of({ KEY: value }) as Redactor;
		for (const form of JSON.parse(line) as string[]) expect(left(one.redact(form), value), form).toBe(false);
	}
});
