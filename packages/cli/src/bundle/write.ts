import { link, open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { tarOf } from "../input/tar.js";
import { codeOf, isMissing, messageOf } from "../system-errors.js";

const ENDING = /\.(?:tgz|tar\.gz)$/;

/** The absolute path of a bundle. @throws CommandFailure where its name won't do */
export function placeOf(target: string): string {
	if (ENDING.test(target)) return resolve(target);
	throw new CommandFailure(EXIT.usage, `--bundle wants a new file that ends in .tgz (or .tar.gz), not ${JSON.stringify(target)}`);
}

/** Writes a gzipped tar, for its owner alone: whole or not at all, and over nothing. @throws CommandFailure */
export async function writeTgz(place: string, files: Readonly<Record<string, string>>): Promise<void> {
	const entries = Object.entries(files).map(([path, text]) => ({
		path: `berth-bundle/${path}`,
		bytes: Buffer.from(text),
		executable: false,
	}));
	const unfinished = `${place}.unfinished-${process.pid}`;
	try {
		await rm(unfinished, { force: true });
		{
			await using file = await open(unfinished, "wx", 0o600);
			await file.writeFile(gzipSync(tarOf(entries)));
			await file.sync();
		}
		await link(unfinished, place);
	} catch (cause) {
		throw new CommandFailure(EXIT.failed, whyNot(place, cause), { cause });
	} finally {
		await rm(unfinished, { force: true });
	}
}

function whyNot(place: string, error: unknown): string {
	if (codeOf(error) === "EEXIST") return `${place} is there already: name a new file`;
	if (isMissing(error)) return `there is no directory for ${place}: make it first`;
	return `the bundle can't be written to ${place}: ${messageOf(error)}`;
}
