import { expect, test } from "vitest";
import { labelsText, nodeSelector, parseLabels, satisfies } from "./labels.js";

test("labels are read, and written as they were", () => {
	const text = "zone=eu-west.1,example.com/gpu=A100";
	const labels = { zone: "eu-west.1", "example.com/gpu": "A100" };
	expect(parseLabels(text)).toEqual(labels);
	expect(labelsText(labels)).toBe(text);
});

test.each([
	["zone", '"zone" is no label'],
	["zone=", '"zone=" is no label: its value has'],
	["Zone=a", "name=value, the name 1 to 63 lower-case letters"],
	["a=b=c", '"a=b=c" is no label'],
	["zone=a,zone=b", "zone is there twice"],
	[`zone=${"x".repeat(64)}`, "1 to 63 letters"],
	[Array.from({ length: 17 }, (_, at) => `l${at}=1`).join(), "17 labels, and at most 16"],
])("%s is refused", (text, why) => {
	expect(parseLabels(text)).toContain(why);
});

test("a selector holds for a node that has all of it, and one without anything for every node", () => {
	expect(satisfies({ zone: "a", gpu: "true" }, { zone: "a" })).toBe(true);
	expect(satisfies({ zone: "b", gpu: "true" }, { zone: "a", gpu: "true" })).toBe(false);
	expect(satisfies(undefined, { zone: "a" })).toBe(false);
	expect(satisfies({}, JSON.parse('{"toString": "x"}'))).toBe(false);
	expect(satisfies(undefined, undefined)).toBe(true);
	expect(satisfies(undefined, {})).toBe(true);
});

test("a selector is made of labels", () => {
	expect(nodeSelector.safeParse({ zone: "a" }).success).toBe(true);
	for (const wrong of [{ zone: 1 }, { Zone: "a" }, { zone: "" }, { zone: " a" }, "zone=a", { ["x".repeat(64)]: "a" }])
		expect(nodeSelector.safeParse(wrong).success).toBe(false);
	expect(nodeSelector.safeParse(Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`l${at}`, "1"]))).success).toBe(false);
});
