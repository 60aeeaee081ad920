import { expect, test } from "vitest";
import { BUILD_LOG, logTexts } from "./build-log.js";

test("others' text can neither control a terminal nor make lines of its own", () => {
	expect(logTexts("red \x1b[31m\x07text\x7f")).toEqual(["red ␛[31m␇text␡"]);
	expect(logTexts("turned \u202e around")).toEqual(["turned \ufffd around"]);
	expect(logTexts("over\rwritten\x9b31m")).toEqual(["over␍written\ufffd31m"]);
});

test("text becomes lines, long lines go on in the next, and have an end", () => {
	expect(logTexts("one\r\n\n\ttwo\n")).toEqual(["one", "  two"]);
	const { lineChars, continuations } = BUILD_LOG;
	expect(logTexts("x".repeat(lineChars + 1))).toEqual(["x".repeat(lineChars), "x"]);
	expect(logTexts("x".repeat(1e6))).toEqual([...Array(continuations).fill("x".repeat(lineChars)), "…"]);
	expect(logTexts("")).toEqual([]);
});
