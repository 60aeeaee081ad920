import { PassThrough } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { ApiError } from "@berth/client";
import { type ErrorCode, problemOf } from "@berth/contracts";
import { expect, test } from "vitest";
import { CommandFailure, EXIT } from "./exit-codes.js";
import { reportFailure } from "./failures.js";
import { secretValueOf } from "./input/secret-value.js";
import { Terminal } from "./terminal.js";

test("work that was interrupted while it waited ends as interrupted", async () => {
	const stderr = new PassThrough();
	const terminal = new Terminal(new PassThrough(), stderr, true);
	const interrupted = AbortSignal.abort(new CommandFailure(EXIT.interrupted, "it was cleaned up"));
	const error = await pause(1000, undefined, { signal: interrupted }).catch((reason: unknown) => reason);
	expect(reportFailure(error, terminal, { json: false, verbose: false })).toBe(EXIT.interrupted);
	expect(String(stderr.read())).toBe("error: it was cleaned up\n");
});

test.each<[ErrorCode, number]>([
	["unauthorized", EXIT.unreachable],
	["forbidden", EXIT.unreachable],
	["quota_exceeded", EXIT.failed],
])("%s ends with %i: it is about the key, or it isn't", (code, exitCode) => {
	const terminal = new Terminal(new PassThrough(), new PassThrough(), true);
	expect(reportFailure(new ApiError(problemOf(code, "no")), terminal, { json: false, verbose: false })).toBe(exitCode);
});

test("Ctrl-C where a secret's value is typed is an interruption", async () => {
	const stdin = Object.assign(new PassThrough(), { isTTY: true });
	const value = secretValueOf("STRIPE_KEY", undefined, stdin, new Terminal(new PassThrough(), new PassThrough(), true));
	stdin.write("half\x03");
	await expect(value).rejects.toMatchObject({ exitCode: EXIT.interrupted, message: expect.stringContaining("STRIPE_KEY is as it was") });
});
