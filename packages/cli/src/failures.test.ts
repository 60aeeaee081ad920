import { PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { CommandFailure, EXIT } from "./exit-codes.js";
import { reportFailure } from "./failures.js";
import { Terminal } from "./terminal.js";

test("work that was interrupted while it waited ends as interrupted", async () => {
	const stderr = new PassThrough();
	const terminal = new Terminal(new PassThrough(), stderr, true);
	const interrupted = AbortSignal.abort(new CommandFailure(EXIT.interrupted, "it was cleaned up"));
	const error = await pause(1000, undefined, { signal: interrupted }).catch((reason: unknown) => reason);
	expect(reportFailure(error, terminal, { json: false, verbose: false })).toBe(EXIT.interrupted);
	expect(String(stderr.read())).toBe("error: it was cleaned up\n");
});
