import { expect, test } from "vitest";
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
