import { expect, test } from "vitest";
import { BootTurns } from "./boot-turns.js";

test("a project's first boot waits for one of each other project at most, however many of theirs came before", async () => {
	const turns = new BootTurns(1);
	const order: string[] = [];
	const ends: (() => void)[] = [];
	const boot = async (project: string) => {
		using _turn = await turns.enter(project);
		order.push(project);
		await new Promise<void>((resolve) => ends.push(resolve));
	};
	const all = [...Array.from({ length: 10 }, () => boot("flood")), boot("quiet"), boot("other")];
	await expect.poll(() => order, { interval: 1 }).toHaveLength(2);
	for (let ended = 0; ended < all.length; ended++) {
		await expect.poll(() => ends.length, { interval: 1 }).toBeGreaterThan(ended);
		ends[ended]?.();
	}
	await Promise.all(all);
	expect(order.slice(0, 5).filter((project) => project !== "flood")).toEqual(["quiet", "other"]);
	expect(order).toHaveLength(12);
	// All have left: as many as at first may enter at once.
	using _first = await turns.enter("a");
	using _second = await turns.enter("b");
});
