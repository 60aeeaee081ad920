import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { SERVE } from "@berth/contracts/agent";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

/** As it is bundled for sandboxes. */
const AGENT = join(import.meta.dirname, "../../dist/agent.cjs");

let directory: string;
let served: ChildProcess | undefined;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "node-serve-"));
});
afterEach(async () => {
	if (served?.exitCode === null && served.signalCode === null && served.kill()) await once(served, "exit");
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The real agent as an image starts it by hand. */
function start(source: string, port = "0"): ChildProcess {
	const entry = join(directory, "index.cjs");
	writeFileSync(entry, source);
	served = spawn(process.execPath, [AGENT, SERVE, entry], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { PORT: port },
	});
	return served;
}

/** @returns where it listens */
async function listening({ stdout }: ChildProcess): Promise<string> {
	let said = "";
	for await (const piece of stdout as AsyncIterable<Buffer>) {
		said += piece.toString();
		const port = /listening on .*"port":(\d+)/.exec(said)?.[1];
		if (port !== undefined) return `http://127.0.0.1:${port}`;
	}
	throw new Error(`it ended; it had said: ${said}`);
}

const post = async (url: string, body: string, type: string) => {
	const answer = await fetch(url, { method: "POST", body, headers: { "content-type": type } });
	return [answer.status, await answer.text()];
};

test("a payload that isn't JSON is the caller's mistake, and the next request is served", async () => {
	const url = await listening(start("module.exports = { default: async (payload) => ({ got: payload }) };"));
	expect(await post(url, '{"a":', "application/json")).toEqual([400, expect.stringMatching(/^the body isn't valid JSON: .+\n$/)]);
	expect(await post(url, '{"a":1}', "application/json")).toEqual([200, '{"got":{"a":1}}']);
	expect(await post(url, '{"a":', "text/plain")).toEqual([200, '{"got":"{\\"a\\":"}']);
});

test("a handler of requests is given any body: what it is, the handler says", async () => {
	const url = await listening(start("module.exports = { default: { fetch: async (request) => new Response(await request.text()) } };"));
	expect(await post(url, '{"a":', "application/json")).toEqual([200, '{"a":']);
});

test("an answer in pieces comes as it is given, and one that fails in the middle has no end", async () => {
	const url = await listening(
		start(`module.exports = { default: async function* ({ fails }) {
			yield { a: 1 };
			await new Promise((resolve) => setTimeout(resolve, 5));
			if (fails) throw new Error("in the middle");
			yield { a: 2 };
		} };`),
	);
	expect(await post(url, "{}", "application/json")).toEqual([200, '{"a":1}\n{"a":2}\n']);
	await expect(post(url, '{"fails":true}', "application/json")).rejects.toThrow("terminated");
	expect(await post(url, "{}", "application/json")).toEqual([200, '{"a":1}\n{"a":2}\n']);
});

test.each(["abc", "65536", ""])("a PORT that is none is said, and the process ends with 1: %j", async (port) => {
	const process = start("module.exports = { default: () => 1 };", port);
	const said = text(process.stderr as NodeJS.ReadableStream);
	expect([(await once(process, "exit"))[0], await said]).toEqual([
		1,
		`PORT is ${JSON.stringify(port)}; a number from 0 to 65535 is wanted\n`,
	]);
});
