import { EGRESS_ADDRESSES, EGRESS_LIMITS } from "@berth/contracts";
import { expect, test } from "vitest";
import { Outlet } from "./outlet.js";

const newOutlet = () => new Outlet(async () => []);

test("a name keeps its address while others are asked for; when there is none left, the one asked for longest ago gives it up", () => {
	const outlet = newOutlet();
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
	const outlet = newOutlet();
	expect(outlet.spend("inv_a", EGRESS_LIMITS.bytes)).toBe(true);
	expect(outlet.spend("inv_a", 1)).toBe(false);
	expect(outlet.spend("inv_b", 1)).toBe(true);
});

test("an invocation that has spent all is known by it, and the next one has all of it again", () => {
	const outlet = newOutlet();
	expect(outlet.isSpent("")).toBe(false);
	outlet.spend("inv_a", EGRESS_LIMITS.bytes);
	expect(outlet.isSpent("inv_a")).toBe(false);
	outlet.spend("inv_a", 1);
	expect(outlet.isSpent("inv_a")).toBe(true);
	expect(outlet.isSpent("inv_b")).toBe(false);
});

test("a sandbox opens some connections at once, and then so many a second", () => {
	const outlet = newOutlet();
	const { openingsPerSecond, openingsAtOnce } = EGRESS_LIMITS;
	const opened = (nowMs: number) => Array.from({ length: 1000 }, () => outlet.opens(nowMs)).filter(Boolean).length;
	expect(opened(5_000)).toBe(openingsAtOnce);
	expect(opened(5_005)).toBe(0);
	expect(opened(6_000)).toBe(openingsPerSecond);
	expect(opened(60_000)).toBe(openingsAtOnce);
});
