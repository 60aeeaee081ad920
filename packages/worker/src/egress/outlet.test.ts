import { EGRESS_ADDRESSES, EGRESS_LIMITS } from "@berth/contracts";
import { expect, test } from "vitest";
import { Outlet } from "./outlet.js";

test("a name keeps its address while others are asked for; when there is none left, the one asked for longest ago gives it up", () => {
	const outlet = new Outlet();
	const [first, second] = ["first.example", "second.example"].map((name) => outlet.addressOf(name)) as [string, string];
	const others = Array.from({ length: EGRESS_ADDRESSES.count - 2 }, (_, at) => outlet.addressOf(`h${at}.example`));
	expect(new Set([first, second, ...others]).size).toBe(EGRESS_ADDRESSES.count);
	expect(outlet.addressOf("first.example")).toBe(first);
	expect(outlet.addressOf("late.example")).toBe(second);
	expect([outlet.hostAt(first), outlet.hostAt(second)]).toEqual(["first.example", "late.example"]);
	expect(outlet.addressOf("second.example")).not.toBe(second);
	expect(outlet.hostAt("8.8.8.8")).toBe("8.8.8.8");
});

test("what is sent counts by invocation", () => {
	const outlet = new Outlet();
	expect(outlet.spend("inv_a", EGRESS_LIMITS.bytes)).toBe(true);
	expect(outlet.spend("inv_a", 1)).toBe(false);
	expect(outlet.spend("inv_b", 1)).toBe(true);
});
