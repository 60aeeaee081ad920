import type { BuildRefusal } from "@berth/contracts/agent";
import { type End, saying } from "./program-end.js";
import { normalName } from "./python-index.js";
import { failure } from "./refusals.js";

const WHEELS =
	"only wheels are installed, for this platform and Python; what has none is built from its source distribution where the manifest's `scripts` name it";
const VERSIONS = "no version that it may be has a wheel for this platform and Python; those that have one are named";
/** What pip's messages mean here: it has no codes. */
const WHY: readonly Meaning[] = [
	[/DO NOT MATCH THE HASHES/, "a package's bytes aren't those that its hash says"],
	[/--require-hashes mode/, "where one requirement has a hash, all need one, and all that they need in turn"],
	[/\(from versions: (?!none\))/, VERSIONS],
	[/No matching distribution found/, WHEELS],
	[/ResolutionImpossible|conflicting dependencies/, "their requirements contradict each other"],
	[/No space left on device/, "they are larger than there is room for"],
];

type Meaning = readonly [message: RegExp, meaning: string];

/** What is known of a failure besides pip's words. */
export interface PipContext {
	/** Paths that the index hasn't. */
	readonly missing?: ReadonlySet<string>;
	/** Meanings that count before the usual ones. */
	readonly meanings?: readonly Meaning[];
}

/** Why pip failed. */
export function pipFailure(end: End, { missing = new Set(), meanings = [] }: PipContext): BuildRefusal {
	const why = isUnknown(end, missing)
		? "the index has no package of that name"
		: [...meanings, ...WHY].find(([message]) => end.lines.some((line) => message.test(line)))?.[1];
	const said = saying(end, "pip") || ` pip ended with ${end.code}.`;
	const text = why === undefined ? said.trimStart() : `${why}.${said}`;
	return failure("install_failed", "install", `The packages of requirements.txt can't be installed: ${text}`);
}

/** Whether the index hasn't the package at all that pip found no version of; pip says the same of one without wheels. */
function isUnknown({ lines }: End, missing: ReadonlySet<string>): boolean {
	const [, name] = lines.map((line) => /the requirement ([\w.-]*\w)/.exec(line)).find((match) => match !== null) ?? [];
	if (name === undefined) return false;
	const page = `/${normalName(name)}/`;
	return [...missing].some((path) => path.endsWith(page));
}
