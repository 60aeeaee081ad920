import { expect, test } from "vitest";
import { describeError } from "./errors.js";

test.each([
	[null, "null was thrown"],
	[undefined, "undefined was thrown"],
	[{ code: 1 }, 'an object was thrown: {"code":1}'],
	["text", "a string was thrown: text"],
])("%j that was thrown is said to be that", (thrown, message) => expect(describeError(thrown)).toEqual({ name: "Error", message }));
