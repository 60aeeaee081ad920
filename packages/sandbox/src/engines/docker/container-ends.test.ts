import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LABELS } from "./container-config.js";
import { hearEnds } from "./container-ends.js";
import type { DockerApi } from "./docker-api.js";

const closing = new AbortController();
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Events as an Engine sends them, and what is heard of them, in order. */
async function engine(known: readonly string[] = []) {
	const events = new PassThrough();
	const heard: string[] = [];
	const send = () => Promise.resolve(events as unknown as IncomingMessage);
	await hearEnds({ send } as unknown as DockerApi, "node_1", closing.signal, {
		outOfMemory: (sandbox) => void heard.push(`oom ${sandbox}`),
		knowsKiller: (sandbox) => known.includes(sandbox),
		ended: (sandbox, code) => void heard.push(`end ${sandbox} ${code}`),
		lost: (cause) => void heard.push(`lost ${cause.message}`),
	});
	const says = async (action: string, sandbox: string, exitCode = "") => {
		events.write(`${JSON.stringify({ Action: action, Actor: { Attributes: { [LABELS.sandbox]: sandbox, exitCode } } })}\n`);
		await vi.advanceTimersByTimeAsync(1);
	};
	return { heard, says, events };
}

test("the end of what was killed is told behind the word that it was for its memory, though that comes later", async () => {
	const { heard, says } = await engine();
	await says("die", "sb_1", "137");
	expect(heard).toEqual([]);
	await says("oom", "sb_1");
	expect(heard).toEqual(["oom sb_1", "end sb_1 137"]);
	await vi.advanceTimersByTimeAsync(10_000);
	expect(heard).toHaveLength(2);
});

test("without such a word it is told all the same, and others' ends don't wait for it", async () => {
	const { heard, says } = await engine();
	await says("die", "sb_1", "137");
	await says("die", "sb_2", "1");
	await says("oom", "sb_3");
	expect(heard).toEqual(["end sb_2 1", "oom sb_3"]);
	await vi.advanceTimersByTimeAsync(500);
	expect(heard).toEqual(["end sb_2 1", "oom sb_3", "end sb_1 137"]);
});

test("where it is known who killed it, it is told at once", async () => {
	const { heard, says } = await engine(["sb_1"]);
	await says("die", "sb_1", "137");
	expect(heard).toEqual(["end sb_1 137"]);
});

test("what is held when the connection closes is told then, and keeps no timer", async () => {
	const { heard, says, events } = await engine();
	await says("die", "sb_1", "137");
	events.destroy();
	await vi.advanceTimersByTimeAsync(1);
	expect(heard).toEqual(["end sb_1 137", "lost Docker: GET /events: the Docker Engine closed the connection"]);
	expect(vi.getTimerCount()).toBe(0);
});
