import type { NodeLoad } from "@berth/contracts";
import { expect, test } from "vitest";
import { NodeLoads } from "./node-loads.js";

const said = (running: number) => ({ id: "a", load: { running } as NodeLoad });

test("its own count is what it has in flight there now", () => {
	const loads = new NodeLoads(() => 0);
	const ends = [loads.begin("a"), loads.begin("a")];
	expect(loads.on({ id: "a" })).toBe(2);
	for (const end of ends) end();
	expect(loads.on({ id: "a" })).toBe(0);
});

test("of what a node says the rest is others', as far as this gateway can't have been it", () => {
	let nowMs = 0;
	const loads = new NodeLoads(() => nowMs);
	expect(loads.on(said(5))).toBe(5);
	const ends = Array.from({ length: 3 }, () => loads.begin("a"));
	expect(loads.on(said(5))).toBe(5);
	// They are over: what the node said may be from before, and is counted no second time.
	for (const end of ends) end();
	expect(loads.on(said(5))).toBe(2);
	expect(loads.on(said(3))).toBe(0);
	// When so much time has gone by, what it says is others'.
	nowMs = 20_000;
	loads.on(said(3));
	expect(loads.on(said(3))).toBe(3);
});
