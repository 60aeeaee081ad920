import { expect, test } from "vitest";
import { Drain, type DrainParts } from "./drain.js";

/** A node that was drained before its start, what it is told to do, and what each rest ends with. */
function drained(rests: (() => Promise<void>)[]) {
	const told: string[] = [];
	let isDraining = true;
	const membership: DrainParts["membership"] = {
		get isDraining() {
			return isDraining;
		},
		setDrained: async (drains) => {
			isDraining = drains;
		},
	};
	const totals = () => ({
		interactive: { taken: 0, settled: 0, stale: 0, inHand: 0, revived: 0 },
		background: { taken: 0, stale: 0, inHand: 0, revived: 0 },
	});
	const rest = async () => {
		await rests.shift()?.();
		told.push("rested");
	};
	const invocations = { rest, resume: () => void told.push("resumed"), totals };
	const builds = { rest: async () => undefined, resume: async () => undefined, running: () => 0 };
	return { told, drain: new Drain({ node: "a", membership, invocations, builds }) };
}

test("a node that is told to take work while it still begins to rest rests first: what is said last holds", async () => {
	const late = Promise.withResolvers<void>();
	const { told, drain } = drained([() => late.promise]);
	const begun = drain.begin();
	const open = drain.set(false);
	await new Promise(setImmediate);
	late.resolve();
	await Promise.all([begun, open]);
	expect(told).toEqual(["rested", "resumed"]);
});

test("a node that couldn't hand back does so when it is told to drain once more", async () => {
	const { told, drain } = drained([() => Promise.reject(new Error("Redis is away"))]);
	await expect(drain.begin()).rejects.toThrow("Redis is away");
	await drain.set(true);
	expect(told).toEqual(["rested"]);
});
