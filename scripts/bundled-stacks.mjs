// At the head of each bundle (bundle.mjs): stacks name the sources. Node's own --enable-source-maps looks for a map through every character that it loads, and
// reads it, before there is an error: a quarter of what a start of a gateway or a worker took. Here one is read when the first stack that needs it is asked for.
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";

const PLACE = /(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g;
const maps = new Map();

function mapOf(url) {
	if (maps.has(url)) return maps.get(url);
	let map;
	try {
		map = new SourceMap(JSON.parse(readFileSync(fileURLToPath(`${url}.map`), "utf8")));
	} catch {
		// The stack names the bundle's lines: no error is lost for it.
	}
	maps.set(url, map);
	return map;
}

function inSource(place, url, line, column) {
	const { originalSource, originalLine, originalColumn } = mapOf(url)?.findEntry(line - 1, column - 1) ?? {};
	if (originalSource === undefined) return place;
	return `${fileURLToPath(new URL(originalSource, url))}:${originalLine + 1}:${originalColumn + 1}`;
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
