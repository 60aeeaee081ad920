import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Cpus, SparedCpu } from "./spared-cpu.js";
import { temporaryDirectory } from "./testing/directory.js";

const directory = temporaryDirectory();
let spared: SparedCpu;
beforeEach(() => {
	spared = new SparedCpu();
});

/** A sandbox's file of CPUs. @param leaves whether it was booted on all but one */
function sandbox(name: string, leaves: boolean) {
	const file = join(directory.path, name);
	writeFileSync(file, "as it was booted");
	const cpus = new Cpus({ file, all: "0,1,2", allButOne: "1,2  " }, leaves);
	return { cpus, file, said: () => readFileSync(file, "utf8").slice(0, 5) };
}

test("those there are and those to come leave a CPU while one is spared, and have all of them after", () => {
	const first = sandbox("first", false);
	spared.add(first.cpus);
	expect(first.said()).toBe("as it");
	spared.spare(true);
	const second = sandbox("second", false);
	spared.add(second.cpus);
	expect([first.said(), second.said()]).toEqual(["1,2  ", "1,2  "]);
	spared.spare(false);
	expect([first.said(), second.said()]).toEqual(["0,1,2", "0,1,2"]);
	for (const { cpus } of [first, second]) spared.remove(cpus);
});

test("one that was booted on all but one while that changed has all of them, and one that was booted so is left as it is", () => {
	const late = sandbox("late", true);
	spared.add(late.cpus);
	expect(late.said()).toBe("0,1,2");
	spared.spare(true);
	const there = sandbox("there", true);
	spared.add(there.cpus);
	expect(there.said()).toBe("as it");
	for (const { cpus } of [late, there]) spared.remove(cpus);
});

test("one that is gone isn't written any more", () => {
	const gone = sandbox("gone", false);
	spared.add(gone.cpus);
	spared.remove(gone.cpus);
	rmSync(gone.file);
	spared.spare(true);
	spared.spare(false);
});
