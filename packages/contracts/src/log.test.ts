import { describe, expect, test } from "vitest";
import { entryOf, isAtLeast, LEVEL_MARK, type LogLine, unmarked } from "./log.js";

const line = (text: string, more: Partial<LogLine> = {}): LogLine => ({ atMs: 1, stream: "stdout", text, ...more });

describe("a line of a log", () => {
	test("has its stream's level when it says none itself", () => {
		expect(entryOf(line("hello"))).toEqual({ atMs: 1, stream: "stdout", text: "hello", level: "info" });
		expect(entryOf(line("hello", { stream: "stderr" })).level).toBe("error");
		expect(entryOf(line("hello", { stream: "stderr", level: "warn" })).level).toBe("warn");
	});

	test.each([
		['{"level":"warn","message":"low","left":3}', "warn", "low", { left: 3 }],
		['{"level":30,"time":5,"msg":"pino"}', "info", "pino", { time: 5 }],
		['{"level":60,"msg":"pino"}', "error", "pino", {}],
		['{"level":20,"msg":"pino"}', "debug", "pino", {}],
		['{"severity":"WARNING","message":"cloud"}', "warn", "cloud", {}],
		['{"levelname":"CRITICAL","message":"python"}', "error", "python", {}],
		['{"message":"no level"}', "info", "no level", {}],
	])("that is the JSON of a logger is taken apart, and stays what it was: %s", (text, level, message, fields) => {
		expect(entryOf(line(text))).toEqual({ ...line(text), level, message, fields });
	});

	test.each([
		["isn't whole", '{"level":"warn","message":"cut'],
		["is no object", '["level","warn"]'],
		["says neither level nor message", '{"a":1}'],
		["is deeper than anybody logs", `{"level":"warn","a":${"[".repeat(40)}${"]".repeat(40)}}`],
	])("that %s stays text", (_, text) => {
		expect(entryOf(line(text))).toEqual({ ...line(text), level: "info" });
	});

	test.each(["constructor", "__proto__"])("has no level by the name of what every object has: %s", (level) => {
		expect(entryOf(line(`{"level":"${level}","message":"x"}`)).level).toBe("info");
		expect(unmarked(`${LEVEL_MARK}${level}`)).toEqual({ text: `${LEVEL_MARK}${level}` });
	});

	test("can't reach an object's prototype", () => {
		const { fields } = entryOf(line('{"level":"warn","__proto__":{"polluted":true}}'));
		expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
		expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
	});

	test("says its level in a mark before it, which isn't shown; any other beginning is its own", () => {
		expect(unmarked(`${LEVEL_MARK}Wlow`)).toEqual({ text: "low", level: "warn" });
		expect(unmarked(`${LEVEL_MARK}?low`)).toEqual({ text: `${LEVEL_MARK}?low` });
		expect(unmarked(LEVEL_MARK)).toEqual({ text: LEVEL_MARK });
		expect(unmarked("")).toEqual({ text: "" });
	});

	test("is as grave as another, or graver", () => {
		expect([isAtLeast("warn", "warn"), isAtLeast("error", "warn"), isAtLeast("info", "warn")]).toEqual([true, true, false]);
	});
});
