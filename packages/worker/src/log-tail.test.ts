import { KIB, type LogLine } from "@berth/contracts";
import type { LogQuestion, NodeAnswer } from "@berth/queue";
import { beforeEach, describe, expect, test } from "vitest";
import { LogTail } from "./log-tail.js";

let tail: LogTail;
let invocations: number;
beforeEach(() => {
	tail = new LogTail("0a1b2c3d-e4f5");
	invocations = 0;
});

const line = (text: string, more: Partial<LogLine> = {}): LogLine => ({ atMs: 1000, stream: "stdout", text, ...more });
const teller = (name = "hello", project = "default") =>
	tail.teller(project, { function: name, version: 1, invocation: `inv_${++invocations}`, attempt: 1 });
const ask = async (more: Partial<LogQuestion> = {}) => {
	const answer = await tail.answer({ kind: "logs", filter: { project: "default" }, limit: 100, ...more });
	return answer as Extract<NodeAnswer, { readonly kind: "logs" }>;
};
const texts = ({ lines }: { readonly lines: readonly LogLine[] }) => lines.map(({ text }) => text);

describe("the newest lines", () => {
	test("say whose they are, and are those of the project, function, invocation, level and time that are asked for", async () => {
		const first = teller();
		first.line(line("one"));
		first.line(line('{"level":"warn","message":"two"}', { atMs: 2000 }));
		teller("other").line(line("three", { stream: "stderr", atMs: 3000 }));
		teller("hello", "stranger").line(line("secret"));
		expect((await ask()).lines[0]).toEqual({
			id: "1000-1-0a1b2c3d",
			...line("one"),
			...{ function: "hello", version: 1, invocation: "inv_1", attempt: 1 },
		});
		expect(texts(await ask({ filter: { project: "default", function: "other" } }))).toEqual(["three"]);
		expect(texts(await ask({ filter: { project: "default", invocation: "inv_1" } }))).toHaveLength(2);
		expect(texts(await ask({ filter: { project: "default", level: "warn" } }))).toEqual(['{"level":"warn","message":"two"}', "three"]);
		expect(texts(await ask({ sinceMs: 3000 }))).toEqual(["three"]);
		expect(texts(await ask({ limit: 1 }))).toEqual(["three"]);
		expect(texts(await ask({ limit: 0 }))).toEqual([]);
	});

	test("are kept within a bound for each function: one that floods takes nothing of another's", async () => {
		teller("calm").line(line("kept"));
		const flood = teller("flood");
		for (let n = 0; n < 1000; n++) flood.line(line(`${n} ${"x".repeat(KIB)}`));
		expect(texts(await ask({ filter: { project: "default", function: "calm" } }))).toEqual(["kept"]);
		const kept = texts(await ask({ filter: { project: "default", function: "flood" }, limit: 1000 }));
		expect(kept.length).toBeGreaterThan(20);
		expect(kept.length).toBeLessThan(100);
		expect(kept.at(-1)).toMatch(/^999 /);
	});
});

describe("who follows", () => {
	test("is told what comes, and what comes after the answer", async () => {
		const told = teller();
		told.line(line("before"));
		expect(texts(await ask({ follower: "f", limit: 0 }))).toEqual([]);
		const next = ask({ follower: "f", limit: 0 });
		told.line(line("now"));
		told.answered();
		told.line(line("afterwards"));
		expect((await next).lines).toMatchObject([{ text: "now" }, { text: "afterwards", afterAnswer: true }]);
	});

	test("is told how many lines it had no room for, after those that it gets", async () => {
		await ask({ follower: "f", limit: 0 });
		const told = teller();
		for (let n = 0; n < 1000; n++) told.line(line(`${n} ${"x".repeat(KIB)}`));
		const answers = [await ask({ follower: "f" })];
		while (answers.at(-1)?.dropped === 0) answers.push(await ask({ follower: "f" }));
		const got = answers.reduce((sum, { lines }) => sum + lines.length, 0);
		expect(got).toBeGreaterThan(50);
		// Each has a little more than a KiB, and no more than 256 KiB wait.
		expect(got).toBeLessThan(256);
		expect(answers.at(-1)?.dropped).toBe(1000 - got);
	});

	test("goes on after the last line that it has, and hears that lines are gone", async () => {
		const told = teller();
		for (const text of ["one", "two", "three"]) told.line(line(text));
		const [first] = (await ask()).lines;
		expect(texts(await ask({ follower: "f", after: first?.id ?? "" }))).toEqual(["two", "three"]);
		for (let n = 0; n < 1000; n++) told.line(line(`${n} ${"x".repeat(KIB)}`));
		expect((await ask({ follower: "g", after: first?.id ?? "" })).incomplete).toBe(true);
	});

	test("goes by time where the line is one of another start of the worker", async () => {
		const told = teller();
		told.line(line("old", { atMs: 1000 }));
		told.line(line("new", { atMs: 2000 }));
		expect(texts(await ask({ follower: "f", after: "1000-77-ffffffff" }))).toEqual(["new"]);
	});

	test("is let go of when it says so, and refused when there are too many: of its project, which takes no other one's place, or of all", async () => {
		const of = (project: string, n: number, more = {}) => ask({ filter: { project }, follower: `${project} ${n}`, ...more });
		for (let n = 0; n < 64; n++) await of("loud", n);
		await expect(of("loud", 64)).rejects.toMatchObject({ code: "too_busy" });
		for (const project of ["a", "b", "c"]) for (let n = 0; n < 64; n++) await of(project, n);
		await expect(of("quiet", 0)).rejects.toMatchObject({ code: "too_busy" });
		await of("loud", 0, { ends: true });
		await of("quiet", 0);
		tail.close();
	});
});
