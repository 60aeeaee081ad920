import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { MIB, SERVE } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";

let directory: string;
let served: ChildProcess | undefined;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "python-serve-"));
});
afterEach(async () => {
	if (served?.exitCode === null && served.signalCode === null && served.kill()) await once(served, "exit");
	rmSync(directory, { recursive: true });
});

/** The real agent as an image starts it by hand. */
function start(source: string, env: object = {}): ChildProcess {
	const entry = join(directory, "handler.py");
	writeFileSync(entry, source);
	const args = ["-I", "-B", import.meta.dirname, SERVE, entry];
	served = spawn("/usr/bin/python3", args, { stdio: ["ignore", "pipe", "pipe"], env: { PORT: "0", ...env } });
	return served;
}

/** @returns where it listens */
async function listening({ stdout }: ChildProcess): Promise<string> {
	let said = "";
	for await (const piece of stdout as AsyncIterable<Buffer>) {
		said += piece.toString();
		const port = /listening on \('0\.0\.0\.0', (\d+)\)\n/.exec(said)?.[1];
		if (port !== undefined) return `http://127.0.0.1:${port}`;
	}
	throw new Error(`it ended; it had said: ${said}`);
}

test("an image's function serves HTTP by itself: request in, response out, one after the other", async () => {
	const source = `import os
count = 0
def handler(event, context):
    global count
    count += 1
    return {"statusCode": 201, "headers": {"x-count": count}, "cookies": ["a=1", "b=2"], "body": os.environ["A"] + event["requestContext"]["http"]["method"] + event.get("body", "")}
`;
	const url = await listening(start(source, { A: "hello " }));
	const answers = await Promise.all([1, 2].map(() => fetch(`${url}/x`, { method: "PUT", body: "hi" })));
	expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(["hello PUThi", "hello PUThi"]);
	expect(answers.map(({ status, headers }) => [status, headers.getSetCookie()])).toEqual(Array(2).fill([201, ["a=1", "b=2"]]));
	expect(answers.map(({ headers }) => headers.get("x-count")).sort()).toEqual(["1", "2"]);
	const head = await fetch(url, { method: "HEAD" });
	expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([201, "10", ""]);
});

test("what a handler raises is answered 500 with its message, and the next request is served", async () => {
	const process = start(`def handler(event, context):\n    return 1 / int(event["rawQueryString"])\n`);
	const url = await listening(process);
	const failed = await fetch(`${url}/?0`);
	expect([failed.status, await failed.text()]).toEqual([500, "ZeroDivisionError: division by zero\n"]);
	expect(await (await fetch(`${url}/?2`)).json()).toBe(0.5);
	process.kill();
	expect(await text(process.stderr as NodeJS.ReadableStream)).toContain("handler.py");
});

test.each([
	["{'statusCode': 1000}", "statusCode 1000; it is a whole number from 200 to 599"],
	["{'statusCode': 200.5}", "statusCode 200.5; it is a whole number from 200 to 599"],
	["{'statusCode': float('nan')}", "statusCode nan; it is a whole number"],
	["{'statusCode': 200, 'cookies': 'a=1'}", "cookies that are a str; they are a list"],
	["{'statusCode': 200, 'headers': 'x'}", "headers that are a str; they are a dict"],
])("%s is the handler's mistake, and said as that", async (returned, message) => {
	const answer = await fetch(await listening(start(`def handler(event, context):\n    return ${returned}\n`)));
	expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining(`ReplyError: the handler returned ${message}`)]);
});

test("a body without a length is refused, and one that is too long, before it is read", async () => {
	const url = await listening(start("def handler(event, context):\n    return 1\n"));
	const statusFor = async (headers: Record<string, string | number>) => {
		const sent = request(url, { method: "POST", headers });
		sent.flushHeaders();
		const [{ statusCode }] = (await once(sent, "response")) as [IncomingMessage];
		sent.destroy();
		return statusCode;
	};
	expect(await statusFor({ "transfer-encoding": "chunked" })).toBe(411);
	expect(await statusFor({ "content-length": 6 * MIB + 1 })).toBe(413);
});

test("a module that can't be loaded is said, and the process ends with 1", async () => {
	const process = start("raise ValueError('not today')\n");
	const said = text(process.stderr as NodeJS.ReadableStream);
	expect([(await once(process, "exit"))[0], await said]).toEqual([1, expect.stringContaining("ValueError: not today")]);
});

test.each(["abc", "65536", ""])("a PORT that is none is said, and the process ends with 1: %j", async (port) => {
	const process = start("def handler(event, context):\n    return 1\n", { PORT: port });
	const said = text(process.stderr as NodeJS.ReadableStream);
	expect([(await once(process, "exit"))[0], await said]).toEqual([
		1,
		`PORT is ${JSON.stringify(port)}; a number from 0 to 65535 is wanted\n`,
	]);
});

test("an answer in pieces comes as it is yielded, and one that fails in the middle has no end", async () => {
	const url = await listening(
		start(`def handler(event, context):
    yield {"a": 1}
    if event["rawQueryString"]:
        raise ValueError("in the middle")
    yield {"a": 2}
`),
	);
	expect(await (await fetch(url)).text()).toBe('{"a":1}\n{"a":2}\n');
	await expect((await fetch(`${url}/?x`)).text()).rejects.toThrow("terminated");
	expect(await (await fetch(url)).text()).toBe('{"a":1}\n{"a":2}\n');
});
