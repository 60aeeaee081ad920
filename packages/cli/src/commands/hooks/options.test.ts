import { Command } from "commander";
import { expect, test } from "vitest";
import { changesOf, type HookOptions, withHookOptions } from "./options.js";

const said = (...words: readonly string[]) =>
	changesOf(withHookOptions(new Command()).exitOverride().parse(words, { from: "user" }).opts<HookOptions>());

test("a rate is set, left as it is, or taken away", () => {
	expect(said("--rate", "100/1m")).toEqual({ rate: { limit: 100, periodMs: 60_000 } });
	expect(said()).toEqual({});
	expect(said("--rate", "none")).toEqual({ rate: null });
});
