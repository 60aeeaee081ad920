import { type Alias, BerthError, type FunctionSummary } from "@berth/contracts";
import type { ArtifactStore, FunctionRegistry, Vault } from "@berth/registry";
import { expect, test } from "vitest";
import { recover } from "./recovery.js";

const alias = (name: string, more: Partial<Alias>): Alias => ({ name, weights: {}, follows: false, updatedAt: "", ...more });
const summaryOf = (aliases: readonly Alias[]): FunctionSummary => ({
	project: "default",
	name: "f",
	aliases,
	latest: 3,
	createdAt: "",
	updatedAt: "",
});

/** What a recovery does to the records, in its order, when `copied` is known of a function whose versions an earlier try brought back. */
async function stepsOf(copied: readonly Alias[], onRecord: readonly Alias[]): Promise<readonly unknown[]> {
	const steps: unknown[] = [];
	const note =
		(what: string) =>
		async (...given: unknown[]) =>
			void steps.push([what, ...given]);
	const images = {
		tags: () => [["default/f:3", { digest: "sha256:3" }]],
		readBlob: async () => {
			steps.push(["image"]);
			throw new BerthError("platform_error", "it can't be read");
		},
	};
	const functions = {
		store: { isWhole: async () => false, beginRecovery: note("begun"), recovered: note("recovered") },
		getFunction: async () => summaryOf(onRecord),
		aliases: { set: note("set") },
	};
	const artifacts = { images, functions: { list: async () => [summaryOf(copied)] } };
	await recover(artifacts as unknown as ArtifactStore, functions as unknown as FunctionRegistry, {} as Vault);
	return steps;
}

test("it is known that versions come back before the first does, and till their aliases lead to them", async () => {
	const copied = [alias("live", { weights: { 3: 100 }, follows: true, previous: 2 }), alias("pinned", { weights: { 1: 100 } })];
	expect(await stepsOf(copied, [])).toEqual([
		["begun"],
		["image"],
		["set", "default", "f", "live", { follows: true }, 2],
		["set", "default", "f", "pinned", { weights: { 1: 100 } }, undefined],
		["recovered"],
	]);
});

test("an alias that leads where it led isn't moved", async () => {
	const there = [alias("live", { weights: { 3: 100 }, follows: true, previous: 2 }), alias("split", { weights: { 1: 40, 2: 60 } })];
	const moved = alias("split", { weights: { 1: 40, 2: 60 }, previous: 1 });
	const steps = await stepsOf([there[0] as Alias, moved], there);
	expect(steps).toEqual([["begun"], ["image"], ["set", "default", "f", "split", { weights: { 1: 40, 2: 60 } }, 1], ["recovered"]]);
});
