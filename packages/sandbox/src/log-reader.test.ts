import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FIXED_LIMITS, KIB } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FifoOutput } from "./fifo-output.js";
import { type Log, LogReader } from "./log-reader.js";
import { Redactor } from "./redactor.js";
import { temporaryDirectory } from "./testing/directory.js";

const directory = temporaryDirectory();
let reader: LogReader;
let fds: Record<"stdout" | "stderr", number>;
beforeEach(() => {
	const [stdout, stderr] = ["out", "err"].map((name) => join(directory.path, name)) as [string, string];
	execFileSync("mkfifo", [stdout, stderr]);
	reader = new LogReader(new FifoOutput(stdout, stderr));
	const open = (path: string) => openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
	fds = { stdout: open(stdout), stderr: open(stderr) };
});
afterEach(() => {
	reader.close();
	for (const fd of Object.values(fds)) closeSync(fd);
});

/** A few turns of the event loop: what is in the pipe is read by then. */
async function turns(): Promise<void> {
	for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Prints like a function does, a pipe's worth at a time, and lets the reader read each. */
async function print(stream: "stdout" | "stderr", ...chunks: readonly (string | Uint8Array)[]): Promise<void> {
	for (const chunk of chunks) {
		const bytes = Buffer.from(chunk as string);
		for (let at = 0; at < bytes.length; ) {
			at += written(stream, bytes.subarray(at, at + 32 * KIB));
			await turns();
		}
	}
}

/** How much of it went into the pipe: nothing when that is full. */
function written(stream: "stdout" | "stderr", bytes: Uint8Array): number {
	try {
		return writeSync(fds[stream], bytes);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
		return 0;
	}
}

const texts = ({ lines }: Log) => lines.map(({ stream, text }) => `${stream}: ${text}`);

describe("what an invocation prints", () => {
	test("comes back line by line, with its stream and time", async () => {
		reader.begin();
		await print("stdout", "one\ntwo\n");
		await print("stderr", "three\n");
		const log = await reader.end();
		expect(texts(log)).toEqual(["stdout: one", "stdout: two", "stderr: three"]);
		expect(log.truncated).toBe(false);
		for (const { atMs } of log.lines) expect(Math.abs(Date.now() - atMs)).toBeLessThan(5000);
	});

	test("right before its answer is there, though nobody had read it by then", async () => {
		reader.begin();
		await turns();
		writeSync(fds.stdout, "last words\n");
		expect(texts(await reader.end())).toEqual(["stdout: last words"]);
	});

	test("in pieces is one line; a last line needs no end", async () => {
		reader.begin();
		await print("stdout", "he", "llo\nwor", "ld");
		expect(texts(await reader.end())).toEqual(["stdout: hello", "stdout: world"]);
	});

	test("keeps its characters, though a piece ends within one", async () => {
		const bytes = Buffer.from("naïve 🚢 日本\n");
		reader.begin();
		await print("stdout", ...Array.from(bytes, (byte) => Uint8Array.of(byte)));
		await print("stderr", ...Array.from(bytes, (byte) => Uint8Array.of(byte)));
		expect(texts(await reader.end())).toEqual(["stdout: naïve 🚢 日本", "stderr: naïve 🚢 日本"]);
	});

	test("that isn't text is shown as what it isn't, and disturbs nothing after it", async () => {
		reader.begin();
		await print("stdout", Uint8Array.of(0xff, 0x0a, 0xf0, 0x9f));
		expect(texts(await reader.end())).toEqual(["stdout: \ufffd", "stdout: \ufffd"]);
		reader.begin();
		await print("stdout", "ok\n");
		expect(texts(await reader.end())).toEqual(["stdout: ok"]);
	});

	test("without a line's end is cut into lines, not collected for ever", async () => {
		reader.begin();
		await print("stdout", "x".repeat(100 * KIB));
		const { lines } = await reader.end();
		expect(lines.length).toBeGreaterThan(1);
		expect(lines.map(({ text }) => text).join("")).toBe("x".repeat(100 * KIB));
	});
});

describe("a flood", () => {
	test("is cut at the cap and flagged; what comes after it is a new log", async () => {
		const line = `${"x".repeat(1023)}\n`;
		reader.begin();
		await print("stdout", line.repeat(FIXED_LIMITS.logBytes / KIB + 64));
		const log = await reader.end();
		expect(log.truncated).toBe(true);
		expect(log.lines).toHaveLength(FIXED_LIMITS.logBytes / KIB);
		reader.begin();
		await print("stdout", "calm\n");
		expect(await reader.end()).toMatchObject({ lines: [{ text: "calm" }], truncated: false });
	});

	test("isn't read faster than it goes on, once it is cut; what is left of it at the end isn't the next one's", async () => {
		reader.close();
		reader = new LogReader(new FifoOutput(join(directory.path, "out"), join(directory.path, "err"), 60_000));
		reader.begin();
		await print("stdout", "x".repeat(FIXED_LIMITS.logBytes + 1));
		const flood = Buffer.from("flood\n".repeat(1000));
		while (written("stdout", flood) > 0) await turns();
		await turns();
		expect(written("stdout", flood)).toBe(0);
		expect((await reader.end()).truncated).toBe(true);
		expect(written("stdout", flood)).toBe(flood.length);
		await turns();
		reader.begin();
		await print("stdout", "calm\n");
		expect(texts(await reader.end())).toEqual(["stdout: calm"]);
	});

	test("of exactly the cap is kept whole", async () => {
		reader.begin();
		await print("stderr", `${"y".repeat(1023)}\n`.repeat(FIXED_LIMITS.logBytes / KIB));
		expect(await reader.end()).toMatchObject({ lines: { length: 1024 }, truncated: false });
	});

	test("of empty lines isn't kept: each costs more than its byte", async () => {
		reader.begin();
		await print("stdout", "\n".repeat(FIXED_LIMITS.logBytes / 2));
		const log = await reader.end();
		expect(log.truncated).toBe(true);
		expect(log.lines.length).toBeLessThanOrEqual(32 * KIB);
	});
});

describe("a line", () => {
	test("has the level that its agent marked it with, and whoever listens is told of it as it comes", async () => {
		const told: string[] = [];
		reader.begin();
		await print("stderr", "plain\n");
		reader.tell(({ text, level }) => told.push(`${level}: ${text}`));
		await print("stderr", "\x1eWlow\n\x1eZraw\n");
		expect(told).toEqual(["undefined: plain", "warn: low", "undefined: \x1eZraw"]);
		expect((await reader.end()).lines).toMatchObject([{ text: "plain" }, { text: "low", level: "warn" }, { text: "\x1eZraw" }]);
		reader.begin();
		await print("stderr", "of the next\n");
		expect(told).toHaveLength(3);
	});
});

describe("after an answer", () => {
	test("what is printed until the end has a log and a bound of its own, and none of it is the next one's", async () => {
		reader.begin();
		await print("stdout", "before\n");
		expect(texts(await reader.end())).toEqual(["stdout: before"]);
		reader.goOn(8);
		await print("stdout", "after\n", "too much\n");
		expect(await reader.end()).toMatchObject({ lines: [{ text: "after" }, { text: "to" }], truncated: true });
		reader.begin();
		await print("stdout", "more than eight bytes\n");
		expect(await reader.end()).toMatchObject({ lines: [{ text: "more than eight bytes" }], truncated: false });
	});
});

describe("between invocations", () => {
	test("nothing is kept: late output belongs to nobody", async () => {
		await print("stdout", "early\n");
		reader.begin();
		await print("stdout", "mine\n");
		expect(texts(await reader.end())).toEqual(["stdout: mine"]);
		await print("stdout", "late\n", "half a li");
		reader.begin();
		await print("stdout", "next\n");
		expect(texts(await reader.end())).toEqual(["stdout: next"]);
	});

	test("a flood doesn't fill the pipe: whoever writes it goes on", async () => {
		await print("stdout", "z".repeat(1024 * KIB));
		reader.begin();
		expect(texts(await reader.end())).toEqual([]);
	});
});

describe("secrets of its function", () => {
	const VALUE = "sk_live_0123456789";
	beforeEach(() => {
		reader.redactor = Redactor.of({ KEY: VALUE });
		reader.begin();
	});

	test("are found in what is printed in pieces, and by who is told of lines", async () => {
		const told: string[] = [];
		reader.tell(({ text }) => told.push(text));
		await print("stdout", "the key is sk_li", "ve_01234", "56789.\nno more");
		expect(texts(await reader.end())).toEqual(["stdout: the key is [secret:KEY].", "stdout: no more"]);
		expect(told).toEqual(["the key is [secret:KEY].", "no more"]);
	});

	test("are found in a line that is too long for one, wherever it is parted", async () => {
		for (const before of [16 * KIB - 30, 16 * KIB - 9, 16 * KIB, 16 * KIB + 9]) {
			await print("stdout", "x".repeat(before), VALUE.slice(0, 9), VALUE.slice(9), "y".repeat(40));
			const all = texts(await reader.end())
				.map((line) => line.replace("stdout: ", ""))
				.join("");
			expect(all).toBe(`${"x".repeat(before)}[secret:KEY]${"y".repeat(40)}`);
			reader.begin();
		}
	});

	test("have no beginning left where the log is cut", async () => {
		await print("stdout", `${"x".repeat(1023)}\n`.repeat(FIXED_LIMITS.logBytes / KIB).slice(0, -9), `${VALUE}\n`);
		const { lines, truncated } = await reader.end();
		expect([truncated, lines.some(({ text }) => text.includes("sk_"))]).toEqual([true, false]);
	});
});
