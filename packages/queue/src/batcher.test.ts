import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Batcher } from "./batcher.js";

/** A batcher of texts whose batches are kept; each is sent when `release` is called, or at once. */
function batcherOf({ underWay = 1, held = false, mostItems = 3, mostBytes = 100 } = {}) {
	const sent: string[][] = [];
	let release: () => void = () => undefined;
	const batcher = new Batcher<string>({
		mostItems,
		mostBytes,
		bytesOf: ({ length }) => length,
		underWay: () => underWay,
		send: (batch) => {
			sent.push(batch);
			if (!held) return Promise.resolve();
			const { promise, resolve } = Promise.withResolvers<void>();
			release = resolve;
			return promise;
		},
	});
	return { batcher, sent, release: () => release() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a batcher", () => {
	it("sends together what comes in one turn, and who comes alone at the end of it", async () => {
		const { batcher, sent } = batcherOf();
		batcher.push("a");
		batcher.push("b");
		await turn();
		expect(sent).toEqual([["a", "b"]]);
		batcher.push("c");
		await turn();
		expect(sent).toEqual([["a", "b"], ["c"]]);
	});

	it("sends one batch at a time, and keeps what comes meanwhile for the next", async () => {
		const { batcher, sent, release } = batcherOf({ held: true });
		batcher.push("a");
		await turn();
		batcher.push("b");
		await wait(5);
		batcher.push("c");
		await wait(5);
		expect(sent).toEqual([["a"]]);
		release();
		await wait(5);
		expect(sent).toEqual([["a"], ["b", "c"]]);
	});

	it("sends nothing of what is taken out while it waits; what is on its way can't be", async () => {
		const { batcher, sent, release } = batcherOf({ held: true });
		for (const text of ["a", "b"]) batcher.push(text);
		expect(batcher.remove("a")).toBe(true);
		await turn();
		batcher.push("c");
		expect([batcher.remove("b"), batcher.remove("c")]).toEqual([false, true]);
		release();
		await turn();
		// The turn that was taken for it isn't lost to others.
		batcher.push("d");
		release();
		await expect.poll(() => sent).toEqual([["b"], ["d"]]);
	});

	it("keeps to the bounds of a batch, in order, but never to nothing", async () => {
		const { batcher, sent } = batcherOf({ mostItems: 2, mostBytes: 10 });
		for (const text of ["1", "2", "3", "a text beyond the bound", "4"]) batcher.push(text);
		while (sent.flat().length < 5) await turn();
		expect(sent).toEqual([["1", "2"], ["3"], ["a text beyond the bound"], ["4"]]);
	});

	it("waits for more in a crowd, but not after a lull", async () => {
		const { batcher, sent } = batcherOf({ underWay: 100 });
		batcher.push("first");
		await turn();
		expect(sent).toEqual([["first"]]);
		batcher.push("a");
		await turn();
		batcher.push("b");
		await turn();
		expect(sent).toHaveLength(1);
		await wait(30);
		expect(sent).toEqual([["first"], ["a", "b"]]);
		batcher.push("after a lull");
		await turn();
		expect(sent.at(-1)).toEqual(["after a lull"]);
	});
});
