import { expect, test } from "vitest";
import { FairLine } from "./fair-line.js";

const lineOf = (...items: string[]) => {
	const line = new FairLine<string>((item) => item[0] as string);
	for (const item of items) line.push(item);
	return line;
};
const rest = (line: FairLine<string>) => {
	const all: string[] = [];
	for (let item = line.shift(); item !== undefined; item = line.shift()) all.push(item);
	return all;
};

test("owners take turns, and each is served in the order it came", () => {
	expect(rest(lineOf("a1", "a2", "a3", "b1", "c1", "c2"))).toEqual(["a1", "b1", "c1", "a2", "c2", "a3"]);
});

test("who comes while others flood is next but one", () => {
	const line = lineOf(...Array.from({ length: 1000 }, (_, n) => `a${n}`));
	line.shift();
	line.push("b1");
	expect([line.shift(), line.shift(), line.length]).toEqual(["a1", "b1", 998]);
});

test("who leaves is out of it, and nobody else", () => {
	const line = lineOf("a1", "b1", "a2", "b2");
	expect(line.takeOut((item) => item === "a1" || item.startsWith("b"))).toEqual(["a1", "b1", "b2"]);
	expect([line.length, rest(line), line.length]).toEqual([1, ["a2"], 0]);
});
