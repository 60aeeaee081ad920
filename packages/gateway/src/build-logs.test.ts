import type { BuildLogAnswer, StoredLogLine } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";

const NO_BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const FAILURE = { code: "build_failed", phase: "bundle", message: "no\u001b[2J end", diagnostics: [] } as const;

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack();
});
afterEach(() => stack.onBuild(undefined));
afterAll(() => stack?.close());

const logs = () => stack.services.functions.logs;
const subject = (name: string, number = 1) => ({ project: "default", function: name, number });
const say = (name: string, text: string) => logs().add(subject(name), [{ kind: "step", text }]);
const pathOf = (name: string, number = 1) => `/v1/functions/${name}/versions/${number}/log`;
const deploy = (name: string) =>
	stack.fetch(`/v1/functions/${name}`, {
		method: "PUT",
		body: JSON.stringify({ source: "export default () => 1" }),
		headers: { "content-type": "application/json" },
	});

interface Event {
	readonly event: string;
	readonly data: StoredLogLine;
}

/** A stream of events that a test reads one by one. */
async function watch(name: string, lastEventId?: string) {
	const headers = { accept: "text/event-stream", ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) };
	const answer = await stack.fetch(pathOf(name), { headers });
	const reader = (answer.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
	let held = "";
	const next = async (): Promise<Event | undefined> => {
		for (;;) {
			const at = held.indexOf("\n\n");
			if (at >= 0) {
				const fields = Object.fromEntries(
					held
						.slice(0, at)
						.split("\n")
						.map((line) => line.split(/: (.*)/s)),
				);
				held = held.slice(at + 2);
				if (fields.data !== undefined) return { event: fields.event, data: JSON.parse(fields.data) };
				continue;
			}
			const { done, value } = await reader.read();
			if (done) return undefined;
			held += value;
		}
	};
	const rest = async () => {
		const events: Event[] = [];
		for (let event = await next(); event !== undefined; event = await next()) events.push(event);
		return events;
	};
	return { answer, next, rest };
}

const textsOf = (events: readonly (Event | undefined)[]) => events.map((event) => event?.data.text ?? event?.data.state);

/** A build that goes on when it is told to, and fails. */
function heldBuild() {
	const gate = Promise.withResolvers<void>();
	stack.onBuild(async ({ project, function: name, version: number }) => {
		const version = await stack.services.functions.needVersion(project, name, number);
		await stack.services.functions.setBuilding(version);
		await say(name, "first");
		await gate.promise;
		await say(name, "second");
		await stack.services.functions.endBuild(version, { state: "failed", failure: FAILURE, build: NO_BUILD });
	});
	return gate;
}

test("a build's log is streamed as it grows, to everybody who watches, and ends with the build", async () => {
	const gate = heldBuild();
	await deploy("watched");
	const [one, other] = [await watch("watched"), await watch("watched")];
	expect(one.answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
	const begun = ["queued", "building", "first"];
	expect(textsOf([await one.next(), await one.next(), await one.next()])).toEqual(begun);
	const progress = { phase: "install", fetches: 1, fetchedBytes: 2, unpackedBytes: 3 } as const;
	await logs().tell(subject("watched"), progress);
	expect(await one.next()).toEqual({ event: "progress", data: progress });
	gate.resolve();
	const ended = ["second", "failed (bundle): no␛[2J end", "failed"];
	const rest = await one.rest();
	expect(textsOf(rest)).toEqual(ended);
	expect(rest.at(-1)).toEqual({ event: "end", data: { state: "failed" } });
	expect(textsOf((await other.rest()).filter(({ event }) => event !== "progress"))).toEqual([...begun, ...ended]);
});

test("a watcher that comes back goes on after the last line that it has", async () => {
	heldBuild().resolve();
	await deploy("resumed");
	const all = await (await watch("resumed")).rest();
	const first = all.find(({ data }) => data.text === "first");
	expect(textsOf(await (await watch("resumed", first?.data.id)).rest())).toEqual(textsOf(all.slice(all.indexOf(first as Event) + 1)));
	const last = all.at(-2)?.data.id;
	expect(await (await watch("resumed", last)).rest()).toEqual([{ event: "end", data: { state: "failed" } }]);
});

test("what was said is there after the build, as JSON and as text, and nothing comes after the end", async () => {
	heldBuild().resolve();
	await deploy("later");
	await (await watch("later")).rest();
	await say("later", "from a worker that is late");
	const log = (await (await stack.fetch(pathOf("later"))).json()) as BuildLogAnswer;
	expect(log).toMatchObject({ function: "later", version: 1, state: "failed" });
	expect(log.lines.map(({ text }) => text)).toEqual(["queued", "building", "first", "second", "failed (bundle): no␛[2J end"]);
	const text = await (await stack.fetch(pathOf("later"), { headers: { accept: "text/plain" } })).text();
	expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} queued\n.* building\n/);
});

test("a build that says too much is cut, and how it ended is still there", async () => {
	stack.onBuild(async ({ project, function: name, version: number }) => {
		const { functions } = stack.services;
		for (let i = 0; i < 3; i++) await logs().add(subject(name), Array(100).fill({ kind: "step", text: "x" }));
		const version = await functions.needVersion(project, name, number);
		await functions.endBuild(version, { state: "failed", failure: FAILURE, build: NO_BUILD });
	});
	await deploy("wordy");
	const events = await (await watch("wordy")).rest();
	expect(events).toHaveLength(256 + 3);
	expect(textsOf(events.slice(-3))).toEqual([
		"the log has 256 lines: what follows is left out",
		expect.stringMatching(/^failed/),
		"failed",
	]);
});

test("a log is gone with its version; who watched is told", async () => {
	heldBuild();
	await deploy("gone");
	const watcher = await watch("gone");
	for (let i = 0; i < 3; i++) await watcher.next();
	await stack.fetch("/v1/functions/gone", { method: "DELETE" });
	expect(await watcher.rest()).toEqual([{ event: "end", data: { state: "deleted" } }]);
	expect(await logs().read(subject("gone"))).toEqual([]);
	await say("gone", "from a worker that is late");
	expect(await logs().read(subject("gone"))).toEqual([]);
});

test.each([
	["without a key", pathOf("later"), { authorization: "" }, 401],
	["of a version that isn't there", pathOf("later", 9), {}, 404],
	["of a function that isn't there", pathOf("nobody"), {}, 404],
	["after something that is no line", pathOf("later"), { "last-event-id": "$" }, 400],
])("a log %s is refused", async (_what, path, headers, status) => {
	expect((await stack.fetch(path, { headers: { accept: "text/event-stream", ...headers } })).status).toBe(status);
});
