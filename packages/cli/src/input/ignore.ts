import { matchesGlob } from "node:path";
import { CommandFailure, EXIT } from "../exit-codes.js";

/** Says whether a path of the source directory stays out of the archive. */
export type Ignore = (path: string, isDirectory: boolean) => boolean;

/** What is never part of a source. */
const ALWAYS = ["node_modules/", ".git/", ".berthignore"];

interface Rule {
	readonly glob: string;
	readonly directoriesOnly: boolean;
	/** Whether the pattern is about whole paths and not about names at any depth. */
	readonly anchored: boolean;
}

/**
 * The rules of a `.berthignore`: one glob a line, `#` for comments; `name` and `*.log` at any depth,
 * `a/b` and `/a` from the top, `dir/` for directories only.
 */
export function ignoreOf(text: string): Ignore {
	const lines = text.split(/\r?\n/).map((line) => line.trim());
	const rules = [...ALWAYS, ...lines.filter((line) => line !== "" && !line.startsWith("#"))].map(ruleOf);
	return (path, isDirectory) => {
		const name = path.slice(path.lastIndexOf("/") + 1);
		return rules.some((rule) => (isDirectory || !rule.directoriesOnly) && matchesGlob(rule.anchored ? path : name, rule.glob));
	};
}

function ruleOf(line: string): Rule {
	if (line.startsWith("!"))
		throw new CommandFailure(EXIT.usage, `.berthignore: "${line}": a pattern that takes back another isn't supported`);
	const directoriesOnly = line.endsWith("/");
	const body = directoriesOnly ? line.slice(0, -1) : line;
	return { glob: body.replace(/^\//, ""), directoriesOnly, anchored: body.includes("/") };
}
