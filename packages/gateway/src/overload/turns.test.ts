import { setImmediate as nextRound } from "node:timers/promises";
import { expect, test } from "vitest";
import { Turns } from "./turns.js";

/** Asks for turns of a project's requests that come at the same moment, and writes down when they have them. */
function crowd(turns: Turns, project: string, size: number, begun: string[]): Promise<void>[] {
	return Array.from({ length: size }, async () => {
		await turns.take(project);
		begun.push(project);
	});
}

test("requests that come one at a time begin at once", async () => {
	const turns = new Turns();
	for (let n = 0; n < 20; n++) {
		expect(turns.take("one")).toBeUndefined();
		await nextRound();
	}
});

test("of a crowd a few begin in a round of the event loop, and all of them in the end, in their order", async () => {
	const turns = new Turns();
	const begun: number[] = [];
	const all = Array.from({ length: 100 }, async (_, n) => {
		await turns.take("crowd");
		begun.push(n);
	});
	await nextRound();
	expect(begun.length).toBeGreaterThan(0);
	expect(begun.length).toBeLessThan(20);
	await Promise.all(all);
	expect(begun).toEqual(Array.from({ length: 100 }, (_, n) => n));
});

test("who comes behind a crowd of another project has every second turn", async () => {
	const turns = new Turns();
	const begun: string[] = [];
	const first = crowd(turns, "floods", 100, begun);
	await nextRound();
	const before = begun.length;
	await Promise.all(crowd(turns, "beside", 3, begun));
	expect(begun.slice(before).filter((project) => project === "floods").length).toBeLessThan(10);
	await Promise.all(first);
	expect(begun).toHaveLength(103);
});

test("projects that are done with theirs are forgotten: a new crowd begins as the first one did", async () => {
	const turns = new Turns();
	const begun: string[] = [];
	await Promise.all(crowd(turns, "floods", 50, begun));
	await nextRound();
	expect(turns.take("floods")).toBeUndefined();
});
