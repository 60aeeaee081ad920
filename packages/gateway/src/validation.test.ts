import { BerthError, inlineDeploySchema, manifestSchema } from "@berth/contracts";
import { expect, test } from "vitest";
import { nodeCommandSchema } from "./nodes.js";
import { validate } from "./validation.js";

const SCHEMAS = { inlineDeploySchema, manifestSchema, nodeCommandSchema };
const WRONG = [null, {}, [], 5, 1.5, "x y/", "", true, -1];
const FIELDS = Object.entries(SCHEMAS).flatMap(([name, schema]) => Object.keys(schema.shape).map((field) => [name, field] as const));

function refusal(name: string, value: unknown): BerthError | undefined {
	try {
		validate(SCHEMAS[name as keyof typeof SCHEMAS], value, { code: "invalid_manifest", whole: "body" });
		return undefined;
	} catch (error) {
		return error as BerthError;
	}
}

test.each(FIELDS)("%s: what is wrong with %s is said once, in our words", (name, field) => {
	const refusals = WRONG.map((value) => refusal(name, { source: "x", kind: "evict", [field]: value })).filter((one) => one !== undefined);
	expect(refusals.length).toBeGreaterThan(0);
	for (const { issues } of refusals) {
		const own = issues.filter((issue) => issue.field === field);
		expect(own.length).toBeLessThanOrEqual(1);
		for (const { message } of issues) expect(message).not.toMatch(/Invalid|Too (?:small|big)|expected/);
	}
});

test.each([null, [1], 5, "x"])("%j isn't an object, and is told so", (value) => {
	expect(refusal("manifestSchema", value)?.issues).toEqual([{ field: "body", message: "a JSON object is wanted here" }]);
});

test.each<[object, string, RegExp]>([
	[{ background: { attempt: 1 } }, "background.attempt", /did you mean attempts\?$/],
	[{ background: { rate: { limits: 1 } } }, "background.rate.limits", /did you mean limit\?$/],
	[{ background: { something: 1 } }, "background.something", /; the fields are attempts, backoffMs/],
])("%j is named by its whole path, beside the fields of its own object", (manifest, field, message) => {
	const issue = refusal("manifestSchema", manifest)?.issues.find((one) => one.field === field);
	expect(issue?.message).toMatch(message);
});

test("a field of a thousand characters isn't a message of a thousand characters", () => {
	const error = refusal("manifestSchema", { ["x".repeat(1000)]: 1, env: { ["é".repeat(1000)]: "" } });
	expect(error).toBeInstanceOf(BerthError);
	for (const { field } of error?.issues ?? []) expect(field.length).toBeLessThan(100);
});

test("of a hundred thousand wrong fields some are named", () => {
	const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`-${i}`, 1]));
	expect(refusal("manifestSchema", many)?.issues).toHaveLength(50);
	expect(refusal("manifestSchema", { env: many })?.issues).toHaveLength(50);
});
