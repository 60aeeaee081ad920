import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { Payload } from "@berth/client";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { fileFault, messageOf } from "../system-errors.js";

/** What `-d` means: `@file`, `-` for stdin, else the text itself; its content type is guessed unless said. */
export async function payloadOf(
	data: string | undefined,
	contentType: string | undefined,
	stdin: NodeJS.ReadableStream,
): Promise<Payload | undefined> {
	if (data === undefined) return undefined;
	const bytes = await bytesOf(data, stdin);
	return { bytes, contentType: contentType ?? typeOf(bytes) };
}

/** The same of a file that is an argument of its own. @throws CommandFailure naming the file */
export async function filePayloadOf(
	file: string,
	contentType: string | undefined,
): Promise<{ readonly bytes: Buffer; readonly contentType: string }> {
	const bytes = await fileOf(file, file);
	return { bytes, contentType: contentType ?? typeOf(bytes) };
}

/** The same for what has to be JSON: its value. @throws CommandFailure when it isn't */
export async function jsonPayloadOf(data: string, stdin: NodeJS.ReadableStream): Promise<unknown> {
	const text = (await bytesOf(data, stdin)).toString("utf8");
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `-d: JSON is wanted: ${messageOf(error)}`);
	}
}

async function bytesOf(data: string, stdin: NodeJS.ReadableStream): Promise<Buffer> {
	if (data === "-") return buffer(stdin);
	return data.startsWith("@") ? await fileOf(data.slice(1), `-d ${data}`) : Buffer.from(data);
}

async function fileOf(path: string, given: string): Promise<Buffer> {
	try {
		return await readFile(path);
	} catch (error) {
		throw new CommandFailure(EXIT.usage, `${given}: ${fileFault(error)}`);
	}
}

/** JSON if it parses as JSON, text if it is UTF-8, else bytes. */
function typeOf(bytes: Buffer): string {
	let text: string;
	try {
		text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return "application/octet-stream";
	}
	try {
		JSON.parse(text);
		return "application/json";
	} catch {
		return "text/plain; charset=utf-8";
	}
}
