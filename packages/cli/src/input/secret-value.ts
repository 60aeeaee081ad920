import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { fileFault } from "../system-errors.js";
import type { Terminal } from "../terminal.js";

type Stdin = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** A secret's value: of a file, of stdin, or typed and not shown. The line end that a program or an editor puts behind it isn't part of it. */
export async function secretValueOf(name: string, file: string | undefined, stdin: Stdin, terminal: Terminal): Promise<string> {
	if (file === undefined && stdin.isTTY === true) return await typed(name, stdin, terminal);
	const bytes = file === undefined || file === "-" ? await buffer(stdin) : await read(file);
	if (!isUtf8(bytes))
		throw new CommandFailure(EXIT.usage, "the value isn't text (UTF-8): store it in base64, and decode it in the function");
	const value = bytes.toString("utf8").replace(/\r?\n$/, "");
	if (value === "") throw new CommandFailure(EXIT.usage, `the value is empty; \`printf %s "$VALUE" | berth secret set ${name}\` gives one`);
	return value;
}

async function typed(name: string, stdin: Stdin, terminal: Terminal): Promise<string> {
	terminal.note(`The value of ${name}, which isn't shown while it is typed; then Enter:`);
	const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
	using lines = createInterface({ input: stdin, output: nowhere, terminal: true });
	try {
		return await lines.question("");
	} catch (error) {
		if (!(error instanceof Error) || error.name !== "AbortError") throw error;
		throw new CommandFailure(EXIT.interrupted, `nothing was typed to the end: ${name} is as it was`, { cause: error });
	}
}

async function read(file: string): Promise<Buffer> {
	try {
		return await readFile(file);
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `--value-file ${file}: ${fileFault(error)}`);
	}
}
