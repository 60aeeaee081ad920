// At the head of each bundle (bundle.mjs): stacks name the sources. Node's own --enable-source-maps looks for a map through every character that it loads, and
// reads it, before there is an error: a quarter of what a start of a gateway or a worker took. Here one is read when the first stack that needs it is asked for,
// and no more of it than that: made into node:module's SourceMap, a gateway's stopped everything for 0.2 s, just when something went wrong.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What this was built in; bundle.mjs puts it here. */
const BUILD = "no-build";
const PLACE = /(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g;
const COMMA = ",".charCodeAt(0);
const DIGITS = new Uint8Array(128);
for (const [value, digit] of [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].entries())
	DIGITS[digit.charCodeAt(0)] = value;
const maps = new Map();

/**
 * Moves a place over what a line's mappings (ECMA-426) say, to the last that begins at this column of the bundle or before it. Plain loops: it reads megabytes.
 */
function follow(mappings, place, column) {
	let [bundled, source, line, sourceColumn] = [0, 0, 0, 0];
	let [fields, value, shift] = [0, 0, 0];
	for (let i = 0; i <= mappings.length; i++) {
		const code = mappings.charCodeAt(i);
		if (i < mappings.length && code !== COMMA) {
			const digit = DIGITS[code];
			value |= (digit & 31) << shift;
			shift += 5;
			if (digit & 32) continue;
			const delta = value & 1 ? -(value >>> 1) : value >>> 1;
			if (fields === 0) bundled = delta;
			else if (fields === 1) source = delta;
			else if (fields === 2) line = delta;
			else if (fields === 3) sourceColumn = delta;
			fields++;
		} else if (fields > 0) {
			if (place.bundled + bundled > column) return;
			place.bundled += bundled;
			place.known = fields > 1;
			if (place.known) {
				place.source += source;
				place.line += line;
				place.column += sourceColumn;
			}
			fields = 0;
		}
		value = 0;
		shift = 0;
	}
}

/** Each line of the bundle with where it begins in the sources: where the one before it ended. */
function linesOf(mappings) {
	const place = { bundled: 0, source: 0, line: 0, column: 0, known: false };
	return mappings.split(";").map((text) => {
		place.bundled = 0;
		const from = { ...place };
		follow(text, place, Number.POSITIVE_INFINITY);
		return { text, from };
	});
}

function mapOf(url) {
	if (maps.has(url)) return maps.get(url);
	let map;
	try {
		const { sources, mappings, debugId } = JSON.parse(readFileSync(fileURLToPath(`${url}.map`), "utf8"));
		// Another build's, made below this process, would name wrong lines.
		if (debugId === BUILD) map = { sources, lines: linesOf(mappings) };
	} catch {
		// The stack names the bundle's lines: no error is lost for it.
	}
	maps.set(url, map);
	return map;
}

function inSource(told, url, line, column) {
	const map = mapOf(url);
	const found = map?.lines[line - 1];
	if (found === undefined) return told;
	const place = { ...found.from };
	follow(found.text, place, column - 1);
	return place.known ? `${fileURLToPath(new URL(map.sources[place.source], url))}:${place.line + 1}:${place.column + 1}` : told;
}

function headOf(error) {
	try {
		return Error.prototype.toString.call(error);
	} catch {
		return "Error";
	}
}

Error.prepareStackTrace = (error, sites) =>
	[headOf(error), ...sites.map((site) => String(site).replace(PLACE, inSource))].join("\n    at ");
