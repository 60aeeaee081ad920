import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { logPath, logSink, openLog, tailOfLog } from "./log-file.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-logs-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function append(text: string, rotateBytes?: number): Promise<void> {
	await using log = await openLog(directory, "worker", rotateBytes);
	await log.writeFile(text);
}

test("a log is appended to, and its last lines can be read", async () => {
	await append("one\ntwo\n");
	await append("three\n");
	expect(await tailOfLog(directory, "worker", 2)).toEqual(["two", "three"]);
	expect(await tailOfLog(directory, "worker", 2, "one\ntwo\n".length)).toEqual(["three"]);
	expect(await tailOfLog(directory, "nobody", 2)).toEqual([]);
});

test("one that has grown too large is put aside, and only one is kept", async () => {
	await append("x".repeat(100));
	await append("y".repeat(100), 50);
	await append("z", 50);
	expect(await readFile(logPath(directory, "worker"), "utf8")).toBe("z");
	expect(await readFile(`${logPath(directory, "worker")}.1`, "utf8")).toBe("y".repeat(100));
});

test("one that grows too large while it is written is put aside, and who has it open as its stderr goes on in the new one", async () => {
	const path = logPath(directory, "worker");
	const log = await openLog(directory, "worker");
	const sink = logSink(log, path, 50);
	const write = (text: string) => new Promise<void>((resolve, reject) => sink.write(text, (error) => (error ? reject(error) : resolve())));
	for (const letter of "abc") await write(letter.repeat(60));
	await write("d");
	expect([await readFile(path, "utf8"), await readFile(`${path}.1`, "utf8")]).toEqual(["d", "c".repeat(60)]);
	expect((await readdir(directory)).sort()).toEqual(["worker.log", "worker.log.1"]);
	// A child's stderr is the same open file.
	execFileSync(process.execPath, ["-e", "process.stderr.write('e')"], { stdio: ["ignore", "ignore", log.fd] });
	expect(await readFile(path, "utf8")).toBe("de");
	sink.end();
	await finished(sink);
	await expect(log.stat()).rejects.toThrow();
});

test("of a long log only the end is read", async () => {
	await append(`${"a".repeat(100)}\n`.repeat(1000));
	await append("last\n");
	expect((await tailOfLog(directory, "worker", 500)).at(-1)).toBe("last");
	expect((await tailOfLog(directory, "worker", 500)).length).toBeLessThan(100);
});
