import { FROM_AGENT, INVOKE_QUESTIONS, INVOKES_AT_ONCE } from "@berth/contracts";
import { beforeEach, expect, test } from "vitest";
import { Invokes, questionOf } from "./invokes.js";
import { Questions } from "./questions.js";

/** What a worker counts: questions that it hasn't answered. */
let open: Map<number, string>;
let most: number;
let questions: Questions;
let invokes: Invokes;
beforeEach(() => {
	[open, most] = [new Map(), 0];
	questions = new Questions({
		send: (type, head) => {
			const { question, kind } = head as { readonly question: number; readonly kind: string };
			expect(type).toBe(FROM_AGENT.question);
			open.set(question, kind);
			most = Math.max(most, open.size);
		},
	});
	invokes = new Invokes(questions);
});

const AT_ONCE = INVOKES_AT_ONCE.count;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const ask = (signal?: AbortSignal) => invokes.ask(questionOf("slow", undefined, {}), new Uint8Array(0), signal);
const asked = (kind: string) => [...open].filter(([, of]) => of === kind).map(([number]) => number);
function answer(numbers: readonly number[]): void {
	for (const number of numbers) {
		open.delete(number);
		questions.answered({ question: number }, new Uint8Array(0));
	}
}

test("one that nobody waits for keeps its place until its worker has answered: retries never make more questions than it takes", async () => {
	const control = new AbortController();
	const left = Array.from({ length: AT_ONCE }, () => ask(control.signal).catch(() => "left"));
	await turn();
	control.abort();
	expect(await Promise.all(left)).toEqual(Array(AT_ONCE).fill("left"));
	const retried = Promise.all(Array.from({ length: AT_ONCE }, () => ask()));
	await turn();
	expect([asked("invoke").length, asked("abandon").length]).toEqual([AT_ONCE, AT_ONCE]);
	answer(asked("abandon"));
	answer(asked("invoke"));
	await turn();
	expect(asked("invoke")).toHaveLength(AT_ONCE);
	answer(asked("invoke"));
	await retried;
	expect([open.size, most <= INVOKE_QUESTIONS.atOnce]).toEqual([0, true]);
});

test("one that is aborted before its turn takes no place from those behind it", async () => {
	const first = Array.from({ length: AT_ONCE }, () => ask());
	await turn();
	const control = new AbortController();
	const waits = ask(control.signal);
	const last = ask();
	control.abort(new Error("too late"));
	answer(asked("invoke"));
	await Promise.all(first);
	await expect(waits).rejects.toThrow("too late");
	await turn();
	answer(asked("invoke"));
	await last;
	expect(open.size).toBe(0);
});
