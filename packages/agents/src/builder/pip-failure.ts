import { type End, saying } from "./program-end.js";

const WHEELS = "only wheels are installed, for this platform and Python; no source distribution is built";
/** What pip's messages mean here: it has no codes. */
const WHY: readonly (readonly [RegExp, string])[] = [
	[/DO NOT MATCH THE HASHES/, "a package's bytes aren't those that its hash says"],
	[/--require-hashes mode/, "where one requirement has a hash, all need one, and all that they need in turn"],
	[/\(from versions: (?!none\))/, "no version that it may be has a wheel for this platform and Python; those that have one are named"],
	[/No matching distribution found/, WHEELS],
	[/ResolutionImpossible|conflicting dependencies/, "their requirements contradict each other"],
	[/No space left on device/, "they are larger than there is room for"],
];

/** pip's words, after what they mean. @param missing paths that the index hasn't */
export function pipFailure(end: End, missing: ReadonlySet<string>): string {
	const why = isUnknown(end, missing)
		? "the index has no package of that name"
		: WHY.find(([message]) => end.lines.some((line) => message.test(line)))?.[1];
	const said = saying(end, "pip") || ` pip ended with ${end.code}.`;
	return why === undefined ? said.trimStart() : `${why}.${said}`;
}

/** Whether the index hasn't the package at all that pip found no version of; pip says the same of one without wheels. */
function isUnknown({ lines }: End, missing: ReadonlySet<string>): boolean {
	const [, name] = lines.map((line) => /the requirement ([\w.-]*\w)/.exec(line)).find((match) => match !== null) ?? [];
	if (name === undefined) return false;
	// PEP 503.
	const page = `/${name.toLowerCase().replace(/[-_.]+/g, "-")}/`;
	return [...missing].some((path) => path.endsWith(page));
}
