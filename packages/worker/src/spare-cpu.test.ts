import type { ThreadTimes } from "@berth/telemetry";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SpareCpu } from "./spare-cpu.js";

/** What a worker's main thread does, for how much of the time. */
interface Share {
	readonly ran: number;
	readonly waited: number;
}

const RESTS: Share = { ran: 0.13, waited: 0.02 };
const BEHIND: Share = { ran: 0.17, waited: 0.23 };
/** As it is with a CPU of its own, while others do all they can. */
const SPARED: Share = { ran: 0.18, waited: 0.13 };

let share: Share;
let contended: boolean;
let said: boolean[];
let troubles: string[];
let fails: boolean;
let spareCpu: SpareCpu;
beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
	[share, contended, said, troubles, fails] = [BEHIND, true, [], [], false];
	let atMs = performance.now();
	const times = (): ThreadTimes => {
		const elapsedMs = performance.now() - atMs;
		atMs = performance.now();
		return { elapsedMs, ranMs: share.ran * elapsedMs, waitedMs: share.waited * elapsedMs };
	};
	spareCpu = new SpareCpu({
		times,
		contended: () => contended,
		spare: (isSpared) => {
			said.push(isSpared);
			if (fails) throw new Error("EINVAL");
		},
		onTrouble: (_message, error) => void troubles.push((error as Error).message),
	});
});
afterEach(() => {
	spareCpu.close();
	vi.useRealTimers();
});

test("is spared within a second while the worker waits for longer than it runs, as long as it waits for half of that, and ten seconds more", () => {
	vi.advanceTimersByTime(1000);
	expect([said, spareCpu.isSpared]).toEqual([[true], true]);
	share = SPARED;
	vi.advanceTimersByTime(60_000);
	expect(said).toEqual([true]);
	share = RESTS;
	vi.advanceTimersByTime(9000);
	expect(said).toEqual([true]);
	vi.advanceTimersByTime(3000);
	expect([said, spareCpu.isSpared]).toEqual([[true, false], false]);
});

test.each<[string, () => void]>([
	["nobody uses much while others use little", () => (contended = false)],
	["it waits for less time than it runs", () => (share = { ran: 0.5, waited: 0.3 })],
	["it has hardly anything to do", () => (share = { ran: 0.03, waited: 0.3 })],
	["the kernel doesn't say how long it waits", () => (share = { ran: 0, waited: 0 })],
])("isn't spared where %s", (_why, given) => {
	given();
	vi.advanceTimersByTime(60_000);
	expect(said).toEqual([]);
});

test("isn't spared for single looks that find it behind", () => {
	for (let look = 0; look < 100; look++) {
		share = look % 3 === 0 ? BEHIND : RESTS;
		vi.advanceTimersByTime(200);
	}
	expect(said).toEqual([]);
});

test("that sandboxes can't be told is said, and is no end of anything", () => {
	fails = true;
	vi.advanceTimersByTime(1000);
	[share, fails] = [RESTS, false];
	vi.advanceTimersByTime(12_000);
	expect([said, troubles]).toEqual([[true, false], ["EINVAL"]]);
});
