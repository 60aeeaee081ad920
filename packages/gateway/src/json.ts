import { isUtf8 } from "node:buffer";
import { BerthError } from "@berth/contracts";

/** How deep arrays and objects may be in one another. What writes JSON ends at a few thousand, wherever its stack does. */
const MOST_LEVELS = 1000;

/** What takes long to parse is many arrays and objects, and many names: 6 MiB of `{}` kept everybody waiting for 0.5 s (measured). */
const MOST_CONTAINERS = 200_000;
const MOST_NAMES = 400_000;

/**
 * JSON in UTF-8 that can't reach an object's prototype, and nests 1,000 deep at most, with 200,000 arrays and objects and 400,000 fields at most.
 * @param mostFields of all its objects together, where more would take longer to check than they are worth
 * @throws BerthError invalid_request with the place of the mistake
 */
export function parseJson(bytes: Uint8Array, what: string, mostFields = Number.POSITIVE_INFINITY): unknown {
	if (bytes.length === 0) throw new BerthError("invalid_request", `${what} is empty; JSON is wanted here`);
	if (!isUtf8(bytes)) throw new BerthError("invalid_request", `${what} isn't UTF-8`);
	const much = tooMuchIn(bytes);
	if (much !== undefined) throw new BerthError("invalid_request", `${what} has more than ${much}`);
	const value = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"), what);
	const wrong = isContainer(value) ? wrongIn(value, mostFields) : undefined;
	if (wrong !== undefined) throw new BerthError("invalid_request", `${what} ${wrong}`);
	return value;
}

const [QUOTE, BACKSLASH, BRACE, BRACKET, COLON] = [0x22, 0x5c, 0x7b, 0x5b, 0x3a] as const;

/** Counted before anything is parsed: in UTF-8 a byte of these is always that character. */
function tooMuchIn(bytes: Uint8Array): string | undefined {
	// Each takes two bytes at least.
	if (bytes.length < 2 * MOST_CONTAINERS) return undefined;
	let containers = 0;
	let names = 0;
	let inString = false;
	for (let at = 0; at < bytes.length; at++) {
		const byte = bytes[at];
		if (byte === QUOTE) inString = !inString;
		else if (inString) at += byte === BACKSLASH ? 1 : 0;
		else if (byte === BRACE || byte === BRACKET) containers++;
		else if (byte === COLON) names++;
	}
	if (containers > MOST_CONTAINERS) return `${MOST_CONTAINERS} arrays and objects`;
	return names > MOST_NAMES ? `${MOST_NAMES} fields` : undefined;
}

function parse(text: string, what: string): unknown {
	try {
		return JSON.parse(text) as unknown;
	} catch (error) {
		throw new BerthError("invalid_request", `${what} isn't valid JSON: ${(error as Error).message}`);
	}
}

type Container = readonly unknown[] | Readonly<Record<string, unknown>>;

/** Level by level. A reviver would do for prototypes, and take forty times as long: 2 s for 6 MiB of numbers (measured). */
function wrongIn(value: Container, mostFields: number): string | undefined {
	let fields = 0;
	let level: Container[] = [value];
	for (let depth = 1; level.length > 0; depth++) {
		if (depth > MOST_LEVELS) return `is nested too deeply: ${MOST_LEVELS} levels are allowed`;
		const next: Container[] = [];
		for (const container of level) {
			if (Array.isArray(container)) {
				for (const item of container) if (isContainer(item)) next.push(item);
				continue;
			}
			for (const name in container) {
				if (name === "__proto__") return "has a field called __proto__, which isn't allowed";
				if (++fields > mostFields) return `has more than ${mostFields} fields`;
				const item = (container as Readonly<Record<string, unknown>>)[name];
				if (isContainer(item)) next.push(item);
			}
		}
		level = next;
	}
	return undefined;
}

function isContainer(value: unknown): value is Container {
	return typeof value === "object" && value !== null;
}

/** Whether a body of this type is JSON; one that says nothing of itself is taken for it. */
export function isJson(contentType = "application/json"): boolean {
	const type = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
	return type === "application/json" || type.endsWith("+json");
}
