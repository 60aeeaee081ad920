import { PassThrough } from "node:stream";
import { problemOf } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { diagnosticText } from "./render/diagnostics.js";
import { logText, problemText } from "./render/problem.js";
import { Terminal } from "./terminal.js";

/** A clipboard write, a new title, a cleared screen, one of C1, a word turned round. */
const HOSTILE = "a\x1b]52;c;cm0gLXJm\x07b\x1b]0;title\x1b\\c\x1b[2Jd\x9b2Jef\u202eg\u2066h\x7f";
const HARMLESS = "a␛]52;c;cm0gLXJm␇b␛]0;title␛\\c␛[2Jd�2Jef�g�h␡";

function terminalOf(isTTY: boolean) {
	const open = () => Object.assign(new PassThrough(), { isTTY });
	const stdout = open();
	const stderr = open();
	return { terminal: new Terminal(stdout, stderr, false), out: () => String(stdout.read() ?? ""), err: () => String(stderr.read() ?? "") };
}

describe("what a function or a compiler says", () => {
	test("doesn't control a terminal: not as a result, a log line, a problem, a diagnostic, progress", () => {
		const { terminal, out, err } = terminalOf(true);
		terminal.print(logText({ atMs: 0, stream: "stdout", text: `drawn over\r${HOSTILE}` }));
		expect(out()).toBe(`00:00:00.000 info  drawn over␍${HARMLESS}\n`);
		const error = { name: "Error", message: HOSTILE, stack: HOSTILE };
		for (const text of [
			problemText(problemOf("handler_error", HOSTILE, [], { error }), terminal),
			problemText(problemOf("invalid_manifest", "", [{ field: "env", message: HOSTILE }]), terminal),
			diagnosticText({ severity: "error", message: HOSTILE, file: "a.ts", line: 1, column: 1, lineText: HOSTILE }, terminal),
		]) {
			terminal.note(text);
			const said = err();
			expect(said).toContain(HARMLESS);
			// biome-ignore lint/suspicious/noControlCharactersInRegex: what is left of them are our styles
			expect(said.replace(/\x1b\[\d+m/g, "")).not.toMatch(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
		}
		terminal.status(HOSTILE);
		expect(err()).toBe(`\r\x1b[K${HARMLESS}`);
	});

	test("keeps its lines and tabs, and our styles", () => {
		const { terminal, out } = terminalOf(true);
		terminal.print(`${terminal.style("red", "a")}\tb\n${terminal.style("bold", "ü")}`);
		expect(out()).toBe("\x1b[31ma\x1b[39m\tb\n\x1b[1mü\x1b[22m\n");
	});

	test("goes through a pipe as it is, and as JSON also to a terminal", () => {
		const pipe = terminalOf(false);
		pipe.terminal.print(HOSTILE);
		pipe.terminal.note(HOSTILE);
		expect([pipe.out(), pipe.err()]).toEqual([`${HOSTILE}\n`, `${HOSTILE}\n`]);
		const { terminal, out } = terminalOf(true);
		terminal.json({ text: HOSTILE });
		expect(JSON.parse(out())).toEqual({ text: HOSTILE });
	});
});
