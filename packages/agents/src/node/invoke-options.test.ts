import { expect, test } from "vitest";
import { checkedOptions } from "./invoke-options.js";
import { InvocationError, Invokes } from "./invokes.js";
import { Questions } from "./questions.js";

/** What goes to the worker, which is nobody here. */
function asking() {
	const sent: unknown[] = [];
	return { sent, invokes: new Invokes(new Questions({ send: (_type, head) => void sent.push(head) })) };
}

test.each<[unknown, new (message: string) => Error, string]>([
	[null, TypeError, "an object of options, not null"],
	["fast", TypeError, 'an object of options, not "fast"'],
	[[], TypeError, "an object of options, not an array"],
	[{ timeout: 5 }, TypeError, 'no option "timeout"; there are async, timeoutMs, contentType, idempotencyKey, signal'],
	[{ async: "no" }, TypeError, 'async is "no"'],
	[{ async: 1 }, TypeError, "async is 1"],
	[{ signal: 5 }, TypeError, "signal is 5; an AbortSignal is wanted"],
	[{ contentType: 5 }, TypeError, "contentType is 5; a string"],
	[{ contentType: "" }, RangeError, 'contentType is ""'],
	[{ contentType: "a\nb" }, RangeError, 'contentType is "a\\nb"'],
	[{ contentType: "ééé" }, RangeError, "characters of ASCII"],
	[{ idempotencyKey: 5 }, TypeError, "idempotencyKey is 5; a string"],
	[{ idempotencyKey: "" }, RangeError, 'idempotencyKey is ""'],
	[{ idempotencyKey: "a b" }, RangeError, 'idempotencyKey is "a b"; 1 to 255 printable characters of ASCII without spaces'],
	[{ timeoutMs: -1 }, RangeError, "timeoutMs is -1"],
	[{ timeoutMs: 12.5 }, RangeError, "timeoutMs is 12.5"],
	[{ timeoutMs: "50" }, RangeError, 'timeoutMs is "50"'],
])("options that are %j reject in the handler, and nothing is asked that costs it its sandbox", async (options, type, message) => {
	const { sent, invokes } = asking();
	const failed = await invokes.invoke("stock", {}, options as never).catch((error: unknown) => error);
	expect(failed).toBeInstanceOf(type);
	expect((failed as Error).message).toContain(message);
	expect(sent).toEqual([]);
});

test("any whole number of milliseconds is a deadline, whatever the function's own is", () => {
	expect(checkedOptions({ timeoutMs: 1e12 })).toEqual({ timeoutMs: 1e12 });
	expect(checkedOptions({ timeoutMs: 1e300 })).toEqual({ timeoutMs: Number.MAX_SAFE_INTEGER });
	expect(checkedOptions({ timeoutMs: undefined, async: undefined })).toEqual({});
});

test("after the answer nothing can be asked, and the error says so as every other one does", async () => {
	const { sent, invokes } = asking();
	invokes.close();
	const failed = await invokes.invoke("stock").catch((error: unknown) => error);
	expect(failed).toBeInstanceOf(InvocationError);
	expect(failed).toMatchObject({ code: "cancelled", retryable: false, message: expect.stringContaining("answered already") });
	expect(sent).toEqual([]);
});
