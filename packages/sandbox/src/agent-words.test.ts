import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answerIn, failureIn, goesOnIn, initMsIn, invocationIn } from "./agent-words.js";

const PHASES = ["graft", "init", "no_handler", "handler", "too_large"];

/** JSON that looks like a head more often than chance would have it. */
const heads = fc.oneof(
	fc.jsonValue(),
	fc.record(
		{
			id: fc.oneof(fc.string(), fc.jsonValue()),
			attempt: fc.oneof(fc.integer(), fc.jsonValue()),
			initMs: fc.oneof(fc.double(), fc.jsonValue()),
			contentType: fc.oneof(fc.string(), fc.jsonValue()),
			waiting: fc.oneof(fc.boolean(), fc.jsonValue()),
			phase: fc.oneof(fc.constantFrom(...PHASES), fc.jsonValue()),
			error: fc.oneof(
				fc.record({ name: fc.jsonValue(), message: fc.jsonValue(), stack: fc.jsonValue() }, { requiredKeys: [] }),
				fc.jsonValue(),
			),
			response: fc.oneof(
				fc.record(
					{
						status: fc.oneof(fc.integer({ min: 100, max: 700 }), fc.jsonValue()),
						headers: fc.oneof(fc.array(fc.array(fc.oneof(fc.string(), fc.jsonValue()), { maxLength: 3 })), fc.jsonValue()),
					},
					{ requiredKeys: [] },
				),
				fc.jsonValue(),
			),
		},
		{ requiredKeys: [] },
	),
);

const isText = (value: unknown) => typeof value === "string";

describe("whatever JSON an agent sends", () => {
	test("an answer is well formed or none", () => {
		fc.assert(
			fc.property(heads, (head) => {
				const answer = answerIn(head);
				if (answer === undefined) return;
				const { id, attempt, waiting, contentType, response, ...rest } = answer;
				expect([isText(id), typeof attempt, typeof waiting, rest]).toEqual([true, "number", "boolean", {}]);
				expect(contentType === undefined || isText(contentType)).toBe(true);
				if (response === undefined) return;
				expect(Number.isInteger(response.status) && response.status >= 200 && response.status <= 599).toBe(true);
				expect(response.headers.every((pair) => pair.length === 2 && pair.every(isText))).toBe(true);
				expect(Object.keys(response)).toEqual(["status", "headers"]);
			}),
			{ numRuns: 500 },
		);
	});

	test("a failure is well formed and bounded, or none", () => {
		fc.assert(
			fc.property(heads, (head) => {
				const failure = failureIn(head);
				if (failure === undefined) return;
				const { phase, error, id } = failure;
				expect(PHASES).toContain(phase);
				expect([isText(error.name), isText(error.message), error.stack === undefined || isText(error.stack)]).toEqual([true, true, true]);
				expect(id === undefined || isText(id)).toBe(true);
			}),
			{ numRuns: 500 },
		);
	});

	test("a time is a time, an id an id", () => {
		fc.assert(
			fc.property(heads, (head) => {
				expect(initMsIn(head, 5)).toBeGreaterThanOrEqual(0);
				expect(initMsIn(head, 5)).toBeLessThanOrEqual(5);
				for (const id of [invocationIn(head), goesOnIn(head)]) expect(id === undefined || isText(id)).toBe(true);
			}),
		);
	});
});

test("an answer that is one is read as it is, and nothing that wasn't asked for comes along", () => {
	const response = { status: 201, headers: [["x", "y"]], evil: 1 };
	expect(answerIn({ id: "inv_1", attempt: 2, runMs: 3, waiting: true, contentType: "text/plain", response, evil: 1 })).toEqual({
		id: "inv_1",
		attempt: 2,
		waiting: true,
		contentType: "text/plain",
		response: { status: 201, headers: [["x", "y"]] },
	});
});

test("a time is no longer than it took to say it, whatever clock an agent has", () => {
	expect([1e308, Number.POSITIVE_INFINITY, 3, -1e308, Number.NaN].map((initMs) => initMsIn({ initMs }, 20))).toEqual([20, 20, 3, 0, 0]);
});

test.each([199, 600, 200.5, Number.NaN, "200"])("a response with status %s is no answer", (status) => {
	expect(answerIn({ id: "i", attempt: 1, response: { status, headers: [] } })).toBeUndefined();
});

test("a response may have 256 headers and no more", () => {
	const answer = (count: number) => answerIn({ id: "i", attempt: 1, response: { status: 200, headers: Array(count).fill(["a", "b"]) } });
	expect([answer(256) === undefined, answer(257) === undefined]).toEqual([false, true]);
});

test("an error's texts are cut to what a record may hold", () => {
	const long = "x".repeat(100_000);
	const failure = failureIn({ phase: "handler", error: { name: long, message: long, stack: long } });
	const { name = "", message = "", stack = "" } = failure?.error ?? {};
	expect([name.length, message.length, stack.length]).toEqual([256, 8192, 32_768]);
});

test("an error that says nothing is an error all the same", () => {
	for (const error of [undefined, null, 1, {}, "x"])
		expect(failureIn({ phase: "init", error })?.error).toEqual({ name: "Error", message: "the handler failed" });
});

test("only a promise of `waitUntil` that is open holds a sandbox", () => {
	expect([goesOnIn({ id: "i", waiting: true }), goesOnIn({ id: "i", waiting: "yes" }), goesOnIn({ waiting: true })]).toEqual([
		"i",
		undefined,
		undefined,
	]);
});
