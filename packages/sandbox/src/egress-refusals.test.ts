import { beforeEach, expect, test } from "vitest";
import { EgressRefusals } from "./egress-refusals.js";

let said: string[];
let refusals: EgressRefusals;
beforeEach(() => {
	said = [];
	refusals = new EgressRefusals((line) => said.push(line));
});

test("what a function is refused between two attempts isn't the next one's, which is told of the same host again", () => {
	refusals.begin();
	expect(refusals.end()).toBe(false);
	refusals.refused("evil.example", "no");
	refusals.begin();
	refusals.refused("evil.example", "no");
	expect(said).toEqual(Array(2).fill("berth: evil.example was refused: no"));
	expect(refusals.end()).toBe(true);
	refusals.refused("evil.example", "no");
	refusals.begin();
	expect(refusals.end()).toBe(false);
});

test("each reason for which a host is refused is told, once", () => {
	refusals.begin();
	for (const why of ["no", "not so", "no"]) refusals.refused("evil.example:443", why);
	expect(said).toEqual(["berth: evil.example:443 was refused: no", "berth: evil.example:443 was refused: not so"]);
});

test("what it is refused while it is loaded is its first attempt's", () => {
	refusals.refused("evil.example", "no");
	refusals.begin();
	expect(refusals.end()).toBe(true);
	refusals.begin();
	expect(refusals.end()).toBe(false);
});
