import { type Alias, BerthError, HOUR_MS, type Version } from "@berth/contracts";
import { createLogger } from "@berth/telemetry";
import { expect, test } from "vitest";
import { ready } from "./testing/versions.js";
import { VersionLimit, type VersionLimitOptions } from "./version-limit.js";

const KEPT = 2;
const HOUR_AGO = new Date(Date.now() - HOUR_MS).toISOString();

interface Besides {
	/** The version that was invoked in the background. */
	readonly invoked?: number;
	/** Whether it is known where aliases lead. */
	readonly hasAllAliases?: boolean;
}

/** Versions 1 to 6 of `default/f`, made long ago, with what is said of each; the last one is live. */
async function after(said: Readonly<Record<number, Partial<Version>>>, aliases: readonly Alias[] = [], besides: Besides = {}) {
	const left = new Map<number, Version>();
	for (let number = 1; number <= 6; number++) left.set(number, { ...ready("f"), number, ...said[number] });
	const live: Alias = { name: "live", weights: { 6: 100 }, follows: true, updatedAt: "" };
	const functions: VersionLimitOptions["functions"] = {
		store: { hasAllAliases: async () => besides.hasAllAliases ?? true },
		numbersOf: async () => new Set(left.keys()),
		getVersion: async (_project, _name, number) => left.get(number),
		getFunction: async () => ({ project: "default", name: "f", aliases: [live, ...aliases], latest: 6, createdAt: "", updatedAt: "" }),
		removeVersion: async (_project, _name, number) => {
			if (number === 2) throw new BerthError("version_in_use", "an alias was just led there");
			left.delete(number);
			return undefined;
		},
	};
	const log = createLogger("test", "silent");
	await new VersionLimit({ kept: KEPT, functions, hasBackground: async ({ version }) => version === besides.invoked, log }).keep(
		"default/f",
	);
	return [...left.keys()];
}

const alias = (more: Partial<Alias>): Alias => ({ name: "canary", weights: {}, follows: false, updatedAt: "", ...more });

test("of a function the newest so many stay; what somebody led an alias to meanwhile stays, too", async () => {
	expect(await after({})).toEqual([2, 5, 6]);
});

test("a version stays that an alias leads to, even in part, or would be rolled back to", async () => {
	expect(await after({}, [alias({ weights: { 1: 10, 6: 90 } }), alias({ weights: { 6: 100 }, previous: 3 })])).toEqual([1, 2, 3, 5, 6]);
});

test("a version stays that is being built, or is younger than a day", async () => {
	expect(await after({ 1: { state: "building" }, 3: { createdAt: HOUR_AGO }, 4: { state: "failed" } })).toEqual([1, 2, 3, 5, 6]);
});

test("a version stays, however old, that was invoked in the background: what was accepted of it may wait", async () => {
	expect(await after({}, [], { invoked: 4 })).toEqual([2, 4, 5, 6]);
});

test("all stay while versions come back: an alias may be about to lead to what looks unused", async () => {
	expect(await after({}, [], { hasAllAliases: false })).toEqual([1, 2, 3, 4, 5, 6]);
});
