import type { SandboxState } from "@berth/contracts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FREEZE_AFTER_MS } from "./compaction.js";
import { IdleSandboxes } from "./idle-sandboxes.js";
import type { Sandbox } from "./sandbox.js";
import { version } from "./testing/versions.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What the list looks at of a sandbox. */
interface Sleeper {
	readonly specialisation: { readonly key: string };
	state: SandboxState;
	idleSinceMs: number;
	move(to: SandboxState): void;
	freeze(): Promise<void> | undefined;
	staysAwake(idleMs: number): boolean;
	hasLateStrays(): boolean;
}

function sleeper(
	name: string,
	{ freeze = () => undefined, awakeMs = FREEZE_AFTER_MS }: { freeze?: () => Promise<void> | undefined; awakeMs?: number } = {},
): Sandbox {
	const one: Sleeper = {
		specialisation: version(name),
		state: "warm",
		idleSinceMs: performance.now(),
		move: (to) => {
			one.state = to;
		},
		freeze,
		staysAwake: (idleMs) => idleMs < awakeMs,
		hasLateStrays: () => false,
	};
	return one as unknown as Sandbox;
}

function idle() {
	const frozen: Sandbox[] = [];
	const troubles: string[] = [];
	const left: Sandbox[] = [];
	const list = new IdleSandboxes({
		onFrozen: (sandbox) => void frozen.push(sandbox),
		onStrays: (sandbox) => void left.push(sandbox),
		onTrouble: (_sandbox, { message }) => void troubles.push(message),
	});
	return { list, frozen, troubles, left };
}

/** Makes a sandbox idle now. */
function rest(list: IdleSandboxes, sandbox: Sandbox): void {
	sandbox.idleSinceMs = performance.now();
	list.add(sandbox);
}

test("the one that was used last is taken first: its caches are the warmest", () => {
	const { list } = idle();
	const [a, b] = [sleeper("hello"), sleeper("hello")];
	rest(list, a);
	rest(list, b);
	expect([list.take("default/hello:1"), list.take("default/hello:1"), list.take("default/hello:1")]).toEqual([b, a, undefined]);
	expect(list.has("default/hello:1")).toBe(false);
});

test("one that is left alone is frozen, one that is taken isn't", async () => {
	const { list, frozen } = idle();
	const [left, taken] = [sleeper("hello"), sleeper("bye")];
	rest(list, left);
	rest(list, taken);
	list.take("default/bye:1")?.move("busy");
	await vi.advanceTimersByTimeAsync(100);
	expect(frozen).toEqual([left]);
	expect([left.state, taken.state]).toEqual(["frozen", "busy"]);
});

test("one that requests follow closely stays awake, and is frozen when they end", async () => {
	const { list, frozen } = idle();
	const one = sleeper("hello");
	for (let i = 0; i < 20; i++) {
		rest(list, one);
		await vi.advanceTimersByTimeAsync(5);
		expect(list.take("default/hello:1")).toBe(one);
	}
	rest(list, one);
	expect(frozen).toEqual([]);
	await vi.advanceTimersByTimeAsync(100);
	expect(frozen).toEqual([one]);
});

test("one that has something to do yet is left awake until it is done", async () => {
	const { list, frozen } = idle();
	const one = sleeper("hello", { awakeMs: 400 });
	rest(list, one);
	await vi.advanceTimersByTimeAsync(380);
	expect(frozen).toEqual([]);
	await vi.advanceTimersByTimeAsync(100);
	expect(frozen).toEqual([one]);
});

test("one that can't be frozen is reported, not kept quietly awake", async () => {
	const { list, troubles } = idle();
	rest(
		list,
		sleeper("hello", {
			freeze: () => {
				throw new Error("ENODEV");
			},
		}),
	);
	await vi.advanceTimersByTimeAsync(100);
	expect(troubles).toEqual(["ENODEV"]);
});

test("one that can't be frozen, as it turns out when it was taken already, is left to whoever has it", async () => {
	const { list, troubles } = idle();
	const refused = Promise.withResolvers<void>();
	const [left, taken] = [sleeper("left", { freeze: () => refused.promise }), sleeper("taken", { freeze: () => refused.promise })];
	for (const each of [left, taken]) rest(list, each);
	await vi.advanceTimersByTimeAsync(100);
	list.take("default/taken:1")?.move("busy");
	refused.reject(new Error("unable to freeze"));
	await vi.advanceTimersByTimeAsync(1);
	expect(troubles).toEqual(["unable to freeze"]);
	expect([left.state, taken.state]).toEqual(["frozen", "busy"]);
});

test("one that was removed is never frozen nor taken", async () => {
	const { list, frozen } = idle();
	const one = sleeper("hello");
	rest(list, one);
	list.remove(one);
	list.remove(one);
	await vi.advanceTimersByTimeAsync(100);
	expect([frozen, list.take("default/hello:1"), list.oldest()]).toEqual([[], undefined, undefined]);
});

test("the oldest is the one idle longest, of whatever version, of those that may be taken", async () => {
	const { list } = idle();
	const [a, b, c] = [sleeper("a"), sleeper("b"), sleeper("c")];
	for (const each of [a, b, c]) {
		rest(list, each);
		await vi.advanceTimersByTimeAsync(10);
	}
	expect(list.oldest()).toBe(a);
	expect(list.oldest((each) => each !== a)).toBe(b);
	expect(list.oldest((each) => each === c)).toBe(c);
});

test("a function's are found by its whole name", () => {
	const { list } = idle();
	const [one, other] = [sleeper("hello"), sleeper("hello-2")];
	rest(list, one);
	rest(list, other);
	expect(list.ofFunction("default", "hello")).toEqual([one]);
	expect(list.ofFunction("other", "hello")).toEqual([]);
});

test("one in which something turns out to run still isn't frozen: it is to be retired", () => {
	const { list, frozen, left } = idle();
	const [clean, littered] = [sleeper("hello"), sleeper("hello")];
	littered.hasLateStrays = () => true;
	for (const each of [clean, littered]) rest(list, each);
	vi.advanceTimersByTime(100);
	expect([frozen, left]).toEqual([[clean], [littered]]);
});
