import { manifestSchema } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import type { Minimum } from "@berth/sandbox";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Minimums } from "./minimums.js";

type Functions = ConstructorParameters<typeof Minimums>[0]["functions"];
type Deployed = Readonly<Record<string, Parameters<typeof manifestSchema.parse>[0]>>;

let deployed: Deployed;
let limit: number | undefined;
let told: (readonly Minimum[])[];
let warned: string[];
let expected: string[];
let isAway: boolean;
beforeEach(() => {
	[deployed, limit, told, warned, expected, isAway] = [{}, 512, [], [], [], false];
	vi.useFakeTimers({ now: Date.parse("2026-11-26T06:59:58Z") });
});
afterEach(() => void vi.useRealTimers());

/** What is deployed as version 3, by `project/name`. */
function minimums(): Minimums {
	const functions = {
		warmFunctions: async () => {
			if (isAway) throw new Error("away");
			return Object.keys(deployed).map((key) => ({ project: key.split("/")[0] ?? "", function: key.split("/")[1] ?? "" }));
		},
		getFunction: async (project: string, name: string) => (`${project}/${name}` in deployed ? { live: 3 } : undefined),
		getVersion: async (project: string, name: string) => ({ manifest: manifestSchema.parse(deployed[`${project}/${name}`]) }),
		quotas: { of: () => (limit === undefined ? {} : { warmMiB: limit }) } as unknown as FunctionRegistry["quotas"],
	} as unknown as Functions;
	return new Minimums({
		functions,
		pool: { keepAtLeast: (all) => void told.push(all) },
		expect: ({ function: name }) => void expected.push(name),
		isForHere: ({ nodeSelector }) => nodeSelector === undefined,
		log: { warn: (_: object, message: string) => void warned.push(message) } as never,
	});
}
const least = (project: string, name: string, sandboxes: number) => ({ project, function: name, version: 3, sandboxes });

test("the pool is told of what is live, once, and again when it changes", async () => {
	deployed = { "p/a": { pool: { min: 2 } }, "p/b": {} };
	const all = minimums();
	await all.look();
	await all.look();
	expect(told).toEqual([[least("p", "a", 2)]]);
	deployed = { "p/b": { pool: { min: 1 } } };
	all.changed("p/a");
	all.changed("p/b");
	await all.look();
	expect(told.at(-1)).toEqual([least("p", "b", 1)]);
});

test("a window opens and ends at its times", async () => {
	deployed = { "p/a": { pool: { windows: [{ cron: "0 7 * * *", forMs: 60_000, min: 3 }] } } };
	const all = minimums();
	all.start();
	await vi.advanceTimersByTimeAsync(1000);
	expect(told).toEqual([]);
	await vi.advanceTimersByTimeAsync(2000);
	expect(told).toEqual([[least("p", "a", 3)]]);
	await vi.advanceTimersByTimeAsync(60_000);
	expect(told.at(-1)).toEqual([]);
	all.stop();
});

test("a project has no more than its quota, whatever its aliases lead to, and the log says so once", async () => {
	deployed = { "p/a": { pool: { min: 3 } }, "p/b": { pool: { min: 2 } }, "p/c": { pool: { min: 1 } }, "q/a": { pool: { min: 4 } } };
	const all = minimums();
	await all.look();
	await all.look();
	expect(told).toEqual([[least("p", "a", 3), least("p", "b", 1), least("q", "a", 4)]]);
	expect(warned).toHaveLength(1);
	limit = undefined;
	await all.look();
	expect(told.at(-1)).toHaveLength(4);
});

test("what can't be read is read later, and what was known before holds", async () => {
	deployed = { "p/a": { pool: { min: 1 } } };
	const all = minimums();
	await all.look();
	isAway = true;
	all.changed(undefined);
	await all.look();
	expect([told.length, warned.length]).toEqual([1, 1]);
	isAway = false;
	deployed = {};
	await all.look();
	expect(told.at(-1)).toEqual([]);
});

test("a function that this node may not run has nothing ready on it", async () => {
	deployed = { "p/a": { pool: { min: 1 }, nodeSelector: { zone: "b" } }, "p/b": { pool: { min: 1 } } };
	await minimums().look();
	expect(told).toEqual([[least("p", "b", 1)]]);
});

test("whose window is closed is expected all the same, once, and again in another version", async () => {
	deployed = { "p/a": { pool: { windows: [{ cron: "0 7 * * *", forMs: 60_000, min: 3 }] } }, "p/b": {} };
	const all = minimums();
	await all.look();
	await all.look();
	expect([told, expected]).toEqual([[], ["a"]]);
	all.changed("p/a");
	await all.look();
	expect(expected).toEqual(["a", "a"]);
});
