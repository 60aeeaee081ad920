import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stagingIn } from "./staging.js";

let dataDir: string;
beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "staging-"));
});
afterEach(() => rm(dataDir, { recursive: true }));

/** What a backup of a process has there. */
async function leave(pid: number): Promise<string> {
	const name = `backup.tmp-${pid}`;
	await mkdir(join(dataDir, name));
	await writeFile(join(dataDir, name, "durable.rdb"), "");
	return name;
}

test("a backup has a directory that goes with it, and takes nothing from one that another process takes meanwhile", async () => {
	const theirs = await leave(process.ppid);
	{
		await using staging = await stagingIn(dataDir);
		expect(await readdir(staging.path)).toEqual([]);
		expect(await readdir(dataDir)).toHaveLength(2);
	}
	expect(await readdir(dataDir)).toEqual([theirs]);
	expect(await readdir(join(dataDir, theirs))).toEqual(["durable.rdb"]);
});

test("what a backup that was killed has left goes with the next one, and nothing else", async () => {
	const dead = spawn(process.execPath, ["-e", ""]);
	await once(dead, "exit");
	await leave(dead.pid as number);
	for (const name of ["backup.tmp", "backup.tmp-x", "artifacts"]) await mkdir(join(dataDir, name));
	await using _ = await stagingIn(dataDir);
	expect((await readdir(dataDir)).sort()).toEqual(["artifacts", "backup.tmp", `backup.tmp-${process.pid}`, "backup.tmp-x"].sort());
});
