import { expect, test } from "vitest";
import type { Context } from "./context.js";
import { handlerOf, noHandlerIn } from "./handlers.js";

test.each([
	[{ default: 5 }, "its default export is a number"],
	[{ default: undefined }, "its default export is undefined"],
	[{ default: null, handler: 1 }, "its default export is null"],
	[{ default: [() => 1] }, "its default export is an array"],
	[{ default: {} }, "its default export is an object without `fetch`"],
	[{ default: { fetch: "https://example.org" } }, "its default export is an object whose `fetch` is no function"],
	[{ default: Promise.resolve(() => 1) }, "its default export is a promise: export what it comes to"],
	[{ handler: "x" }, "its export `handler` is a string"],
	[{}, "it exports nothing"],
	[{ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }, "it exports a, b, c, d, e, …"],
])("%o is no handler, which is said with what there is and what is wanted", (exported, found) => {
	expect(handlerOf(exported)).toBeUndefined();
	const message = noHandlerIn(exported);
	expect(message).toContain(`no handler: ${found}`);
	expect(message).toContain("export default a function, or an object with a function `fetch`");
});

const GET = { request: { method: "GET", url: "/", headers: [] }, function: { name: "f" } } as unknown as Context;

/** What the worker would be told of what a handler of URL events returns. */
async function answered(returned: object) {
	const handler = handlerOf({ handler: () => returned });
	return handler?.handle(new Uint8Array(), undefined, GET, () => new AbortController().signal);
}

test.each([
	...[1000, 600, 199, 101, 99, 0, -1, 200.5, Number.NaN].map((statusCode) => [
		{ statusCode },
		`the handler returned statusCode ${statusCode}; it is a whole number from 200 to 599`,
	]),
	[{ statusCode: 200, cookies: "a=1" }, 'the handler returned cookies that are a string; they are a list, as in ["name=value"]'],
	[{ statusCode: 200, cookies: [null] }, 'the handler returned a header "cookies" that is null; it is text or a number'],
	[{ statusCode: 200, headers: "x" }, 'headers that are a string; they are an object, as in {"x-name": "value"}'],
	[{ statusCode: 200, headers: [["x", "y"]] }, "headers that are a Array; they are an object"],
	[{ statusCode: 200, headers: { a: {} } }, 'a header "a" that is a Object; it is text or a number'],
	[{ statusCode: 200, cookies: Array(257).fill("a=1") }, "the handler returned 257 headers; 256 is the most"],
] as [object, string][])("%j is the handler's mistake, and said as that", async (returned, message) => {
	await expect(answered(returned)).rejects.toThrow(message);
	await expect(answered(returned)).rejects.toMatchObject({ name: "ReplyError" });
});

test("a status, headers that are text, numbers or true, and cookies are a response", async () => {
	const headers = { "X-Count": 1, "x-is": true };
	expect(await answered({ statusCode: 599, headers, cookies: ["a=1", "b=2"], body: "x" })).toMatchObject({
		response: {
			status: 599,
			headers: [
				["x-count", "1"],
				["x-is", "true"],
				["set-cookie", "a=1"],
				["set-cookie", "b=2"],
				["content-type", "application/json"],
			],
		},
	});
	expect(await answered({ statusCode: 200, headers: null, cookies: null })).toMatchObject({ response: { status: 200 } });
});
