import type { SandboxState } from "@berth/contracts";
import { expect, test } from "vitest";
import { moved } from "./states.js";

const SANDBOX_STATES: readonly SandboxState[] = ["booting", "prewarmed", "specialising", "busy", "warm", "frozen", "retiring"];
const MOVES = SANDBOX_STATES.flatMap((from) => SANDBOX_STATES.map((to) => [from, to] as const));
const goes = (from: SandboxState, to: SandboxState) => {
	try {
		return moved(from, to) === to;
	} catch {
		return false;
	}
};

test("a sandbox can be retired from everywhere, once, and never comes back", () => {
	for (const state of SANDBOX_STATES) {
		expect(goes(state, "retiring")).toBe(state !== "retiring");
		expect(goes("retiring", state)).toBe(false);
	}
});

test("nothing is given a function twice: only what has none becomes one of a version", () => {
	expect(MOVES.filter(([from, to]) => to === "specialising" && goes(from, to)).map(([from]) => from)).toEqual(["booting", "prewarmed"]);
});

test("only what is warm is frozen, and what is frozen runs or goes", () => {
	expect(MOVES.filter(([from, to]) => to === "frozen" && goes(from, to)).map(([from]) => from)).toEqual(["warm"]);
	expect(MOVES.filter(([from, to]) => from === "frozen" && goes(from, to)).map(([, to]) => to)).toEqual(["busy", "retiring"]);
});

test("a move that isn't in the table is a bug, and says which", () => {
	expect(() => moved("warm", "prewarmed")).toThrow("a sandbox can't go from warm to prewarmed");
});
