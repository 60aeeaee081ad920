import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { measureFloors } from "./measure-floors.js";
import { makeNodeBundle } from "./node-bundle.js";
import { timeProgram } from "./timed-runs.js";

test("a program is run as often as it was asked for, and as often four at a time", async () => {
	const runs: number[] = [];
	const args = (run: number) => {
		runs.push(run);
		return ["-c", ":"];
	};
	const figures = await timeProgram({ command: "sh", args }, 5);
	expect(figures.n).toBe(5);
	// Two rehearsals, five one after the other, ten in lanes; each has a number of its own.
	expect(runs).toEqual(Array.from({ length: 17 }, (_, index) => index));
});

test("a run that fails is no measurement: it says why", async () => {
	await expect(timeProgram({ command: "sh", args: () => ["-c", "echo broken >&2; exit 3"] }, 1)).rejects.toThrow("sh ended with 3: broken");
});

test("a floor that can't be had is skipped with its reason, and the others are measured", async () => {
	const before = process.env["PATH"];
	process.env["PATH"] = "/nowhere";
	try {
		const stages: string[] = [];
		const floors = await measureFloors({ floors: ["node", "docker"], floorRuns: 1, load: undefined }, ({ stage }) => stages.push(stage));
		expect(floors.node?.n).toBe(1);
		expect(floors.docker).toBeUndefined();
		expect(floors.skipped.docker).toMatch(/isn't installed|ENOENT/);
		expect(stages).toEqual(["floor: node", "floor: docker"]);
	} finally {
		process.env["PATH"] = before;
	}
});

test("a bundle's root has all that its Node needs, and is gone when it is disposed of", async () => {
	const bundle = await makeNodeBundle();
	try {
		const listed = execFileSync("find", [bundle.rootfs, "-name", "ld-linux*"], { encoding: "utf8" });
		expect(listed).toContain("ld-linux");
		expect(readdirSync(bundle.rootfs)).toEqual(expect.arrayContaining(["node", "proc", "dev"]));
	} finally {
		await bundle[Symbol.asyncDispose]();
	}
	expect(readdirSync(tmpdir())).not.toContain(bundle.directory.split("/").at(-1));
});
