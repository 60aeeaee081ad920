import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const { client } = stack;

describe("background work", () => {
	it("that is given up has every attempt with its log on record, also of one that was killed, and is replayed with its payload and the version that is fixed", async () => {
		const source = `export default async (text, { attempt }) => {
			console.log("attempt", attempt);
			if (attempt === 2) await new Promise(() => setInterval(() => {}, 1000));
			throw new TypeError(String(text.length));
		};`;
		const { name } = await deploy(stack, { source, timeoutMs: 1000 });
		const { id } = await client.invokeAsync(name, { bytes: "x".repeat(100_000), contentType: "text/plain" });
		const record = await client.settled(id);
		expect(record).toMatchObject({ dead: true, outcome: "handler_error", attemptCount: 3, source: "api", error: { message: "100000" } });
		expect(record.attempts.map(({ outcome }) => outcome)).toEqual(["handler_error", "timed_out", "handler_error"]);
		for (const attempt of [1, 2])
			expect((await client.invocationAttempt(id, attempt)).logs.map(({ text }) => text)).toEqual([`attempt ${attempt}`]);
		await client.deploy(name, { source: "export default (text) => text.length;" }, { wait: true });
		expect((await client.invocations({ dead: true, function: name })).invocations.map((one) => one.id)).toEqual([id]);
		const { replayed } = await client.replayDeadLetters({ function: name, version: "latest" });
		expect(replayed).toMatchObject([{ replayOf: id, version: 2 }]);
		expect(await client.settled(replayed[0]?.id ?? "")).toMatchObject({ outcome: "succeeded", result: { json: 100_000 } });
		expect((await client.invocations({ dead: true, function: name })).invocations).toEqual([]);
	});

	it("that is cancelled while it runs is told, and killed when it doesn't heed that", async () => {
		const source = `export default async ({ heeds }, { signal }) => {
			console.log("began");
			while (!heeds) {}
			await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("told"))));
		};`;
		const { name } = await deploy(stack, { source });
		const ids = await Promise.all([true, false].map(async (heeds) => (await client.invokeAsync(name, { json: { heeds } })).id));
		for (const id of ids) {
			await eventually(async () => expect((await client.logs({ invocation: id })).lines).toMatchObject([{ text: "began" }]));
			expect(await client.cancel(id)).toMatchObject({ state: "running" });
		}
		const [heeded, killed] = await Promise.all(ids.map((id) => client.settled(id)));
		expect(heeded).toMatchObject({ outcome: "cancelled", attemptCount: 1, error: { message: "told" } });
		expect(killed).toMatchObject({ outcome: "cancelled", attemptCount: 1, logs: [{ text: "began" }] });
		expect(killed?.error?.message).toMatch(/^cancelled by request/);
	});

	it("is waited for, listed and replayed on the command line", async () => {
		const { name } = await deploy(stack, { source: "export default (n) => n * 2;" });
		const waited = await stack.berth("--json", "invoke", name, "-d", "21", "--async", "--wait");
		const { id, result } = JSON.parse(waited.stdout) as { id: string; result: { json: number } };
		expect([waited.code, result.json]).toEqual([0, 42]);
		const listed = await stack.berth("invocations", "--function", name);
		expect(listed.stdout).toContain(id);
		const again = await stack.berth("--json", "invocations", "replay", id);
		const watched = await stack.berth("invocations", "watch", (JSON.parse(again.stdout) as { id: string }).id);
		expect([watched.code, watched.stdout.trim().split("\n").at(-1)]).toEqual([0, "settled: succeeded"]);
		const purge = await stack.berth("dead-letters", "purge");
		expect([purge.code, purge.stderr]).toEqual([2, expect.stringContaining("--all")]);
	});
});
