import { expect, test } from "vitest";
import { createLogger } from "./logger.js";

test.each(["err", "error"])("the cause of what is logged as %s isn't lost", (key) => {
	const lines: string[] = [];
	createLogger("gateway", "info", { write: (line) => lines.push(line) }).warn({ [key]: new TypeError("gone") }, "what happened");
	expect(JSON.parse(lines[0] ?? "")).toMatchObject({
		msg: "what happened",
		[key]: { type: "TypeError", message: "gone", stack: expect.any(String) },
	});
});
