import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { expect, test } from "vitest";
import { EXIT } from "./exit-codes.js";
import { runCommandLine } from "./program.js";
import { Terminal } from "./terminal.js";

const PAGE = readFileSync(join(import.meta.dirname, "../../../docs/cli.md"), "utf8");

async function helpOf(...command: string[]): Promise<string> {
	const stdout = new PassThrough();
	const terminal = new Terminal(stdout, new PassThrough(), true);
	await runCommandLine([...command, "--help"], { terminal, user: { noColour: true }, stdin: Readable.from([]) });
	return String(stdout.read());
}

/** The options that a help text or a part of the page lists, with their arguments. */
function optionsIn(text: string, pattern: RegExp): readonly string[] {
	return [...text.matchAll(pattern)].map(([, option]) => option as string).sort();
}

const ofHelp = (text: string) => optionsIn(text, /^ {2}((?:-\w, )?--[\w-]+(?: <[^>]+>)?)/gm);
const ofPage = (text: string) => optionsIn(text, /`((?:-\w, )?--[\w-]+(?: <[^>]+>)?)`(?= \||·| ·)/g);

test("docs/cli.md has every command with its options, and no other", async () => {
	const [general = "", ...sections] = PAGE.split(/^### /m);
	const globals = ofPage(general);
	const help = await helpOf();
	expect(globals).toEqual(ofHelp(help));
	const commands = [...help.matchAll(/^ {2}([a-z][a-z-]*)[ |]/gm)].map(([, name]) => name as string).filter((name) => name !== "help");
	const documented = sections.flatMap((section) =>
		[...(section.split("\n", 1)[0] as string).matchAll(/`berth ([\w-]+)/g)].map(([, name]) => name),
	);
	expect([...documented].sort()).toEqual([...commands].sort());
	for (const section of sections) {
		const names = [...(section.split("\n", 1)[0] as string).matchAll(/`berth ([\w-]+)/g)].map(([, name]) => name as string);
		const given = await Promise.all(names.map(async (name) => ofHelp(await helpOf(name)).filter((option) => !globals.includes(option))));
		expect([names, ofPage(section)]).toEqual([names, given.flat().sort()]);
	}
});

test("docs/cli.md has every exit code", () => {
	const codes = [...PAGE.matchAll(/^\| (\d+) \| /gm)].map(([, code]) => Number(code));
	expect(codes).toEqual(Object.values(EXIT));
});
