import { DEPENDENCY_LIMITS, type PackageRegistry, PYTHON_PACKAGES } from "@berth/contracts/agent";
import { DependencyError } from "./dependency-error.js";
import type { SourceFile } from "./source-files.js";

const REQUIREMENTS = "requirements.txt";
const PYPI = "https://pypi.org/simple";
const MOST = 1000;
const LINE_CHARS = 4096;

const NAME = String.raw`[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?`;
const VERSION = String.raw`(?:===|[<>=!~]=|[<>])\s*[\w.*+!-]+`;
const VERSIONS = String.raw`${VERSION}(?:\s*,\s*${VERSION})*`;
/** Name, extras, versions, marker (PEP 508), without what leads anywhere but to the index. */
const REQUIREMENT = new RegExp(
	String.raw`^${NAME}\s*(?:\[\s*(?:${NAME}(?:\s*,\s*${NAME})*)?\s*\])?\s*(?:${VERSIONS}|\(\s*${VERSIONS}\s*\))?\s*(?:;[\w\s.,'"()<>=!~*+-]+)?$`,
);
const HASH = /\s--hash[=\s]\s*(sha(?:256|384|512):[0-9a-f]{64,128})(?=\s|$)/g;
/** What leads elsewhere: an URL, a version control system, a path. */
const ELSEWHERE = /:\/\/|^[\w+]+:|\s@\s|^[\w.-]+(?:\[.*\])?@|^\.{0,2}\/|^\.|\.(?:whl|zip|tar\.gz|tgz)\b/;

/** Options that ask for what happens anyway. */
const DROPPED = new Set(["--prefer-binary", "--only-binary"]);
/** Options that pip gets. */
const KEPT = new Set(["--pre", "--require-hashes"]);
const INDEX = new Set(["-i", "--index-url", "--pypi-url"]);
const ONE = "a name that both have could come from either; an index that has them all, or passes on what it hasn't, is named alone";
const ADVICE: Readonly<Record<string, string>> = {
	"-r": `other files aren't read: put everything into ${REQUIREMENTS}, as pip-compile does`,
	"-c": `other files aren't read: put the versions into ${REQUIREMENTS}, as pip-compile does`,
	"-e": "a project isn't installed from a directory or a repository: publish it, or put its modules into the source",
	"--extra-index-url": ONE,
	"--no-binary": "only wheels are installed; no source distribution is built",
};
const LONG: Readonly<Record<string, string>> = { "--requirement": "-r", "--constraint": "-c", "--editable": "-e" };
const FROM_INDEX = "packages come from one index, by name and version";

/** What pip gets, and nothing else of a source. */
export interface Requirements {
	readonly requirements: readonly string[];
	readonly flags: readonly string[];
	/** The URL of the index, where it isn't the installation's. */
	readonly index?: string;
}

/**
 * What requirements.txt asks for; undefined when that is nothing, or the packages came along (a `*.dist-info` at the top, as
 * `pip install --target .` leaves it). Order, comments and spaces are left out, so that sources with the same
 * requirements ask for the same bytes. @param indexes that there are for this project, the installation's first @throws DependencyError
 */
export function requirementsOf(files: readonly SourceFile[], indexes: readonly PackageRegistry[]): Requirements | undefined {
	const file = files.find(({ path }) => path === REQUIREMENTS);
	if (file === undefined || files.some(({ path }) => /^[^/]+\.dist-info\//.test(path) || path.startsWith(`${PYTHON_PACKAGES}/`)))
		return undefined;
	if (file.bytes.byteLength > DEPENDENCY_LIMITS.lockBytes)
		throw new DependencyError(`${REQUIREMENTS} has ${file.bytes.byteLength} bytes; at most ${DEPENDENCY_LIMITS.lockBytes} are read`);
	const requirements = new Set<string>();
	const flags = new Set<string>();
	const chosen = new Set<string>();
	for (const { text, line } of logicalLines(file.bytes)) {
		if (text.startsWith("-")) {
			const { index, flag } = optionOf(text, line, indexes);
			if (index !== undefined) chosen.add(index);
			if (flag !== undefined) flags.add(flag);
		} else requirements.add(requirementOf(text, line));
		if (requirements.size > MOST) throw new DependencyError(`${REQUIREMENTS} has more than ${MOST} requirements`);
	}
	if (chosen.size > 1) throw new DependencyError(`${REQUIREMENTS} names more than one index: ${[...chosen].sort().join(", ")}; ${ONE}`);
	const [index] = chosen;
	if (requirements.size === 0) return undefined;
	return { requirements: [...requirements].sort(), flags: [...flags].sort(), ...(index === undefined ? {} : { index }) };
}

/** Lines without comments, those that end in a backslash with the next one (pip's "Requirements File Format"). */
function logicalLines(bytes: Uint8Array): readonly { readonly text: string; readonly line: number }[] {
	const found: { text: string; line: number }[] = [];
	let begun: { text: string; line: number } | undefined;
	for (const [at, raw] of Buffer.from(bytes)
		.toString()
		.replace(/^\uFEFF/, "")
		.split(/\r\n?|\n/)
		.entries()) {
		const goesOn = raw.endsWith("\\") && !/^\s*#/.test(raw);
		const text = goesOn ? raw.slice(0, -1) : raw.replace(/(?:^|\s)#.*$/, "");
		begun = { text: `${begun?.text ?? ""} ${text}`, line: begun?.line ?? at + 1 };
		if (goesOn) continue;
		found.push(begun);
		begun = undefined;
	}
	if (begun !== undefined) found.push(begun);
	return found.map(({ text, line }) => ({ text: text.trim(), line })).filter(({ text }) => text !== "");
}

/** What an option asks pip for, if it isn't what happens anyway. @throws DependencyError for one that isn't followed */
function optionOf(text: string, line: number, indexes: readonly PackageRegistry[]): { readonly flag?: string; readonly index?: string } {
	const [, word = "", value = ""] = /^(--?[\w-]+)(?:[=\s]\s*(.*))?$/.exec(text) ?? [];
	// One letter, and what it is of, may stand together: -rbase.txt.
	const option = LONG[word] ?? (/^-[a-z]/.test(text) ? text.slice(0, 2) : word);
	if (KEPT.has(option)) return { flag: option };
	if (DROPPED.has(option)) return {};
	const [standard, ...others] = indexes.map(({ url }) => url);
	if (INDEX.has(option) && [standard, PYPI].some((known) => isSame(known, value))) return {};
	const index = INDEX.has(option) ? others.find((known) => isSame(known, value)) : undefined;
	if (index !== undefined) return { index };
	const why = INDEX.has(option) ? elsewhere(value, indexes) : (ADVICE[option] ?? FROM_INDEX);
	throw new DependencyError(`${REQUIREMENTS}:${line}: ${shown(option || text)} isn't followed: ${why}`);
}

/** Files that are made by tools name the index that they were made with, PyPI's most often. */
function isSame(known: string | undefined, url: string): boolean {
	return known?.replace(/\/$/, "") === url.trim().replace(/\/$/, "");
}

/** Why an index isn't asked; of its URL only the host is said, as the rest may hold a password. */
function elsewhere(value: string, indexes: readonly PackageRegistry[]): string {
	const url = URL.canParse(value.trim()) ? new URL(value.trim()) : undefined;
	const known = indexes.map((one) => one.url).join(", ");
	if (url !== undefined && (url.username !== "" || url.password !== ""))
		return `an index's login isn't read from a source: \`berth registry set ${url.host}\` keeps it sealed, and the line is then without`;
	return `${url?.host ?? "it"} is no index of this project (${known}), each by its whole URL; \`berth registry set\` adds one that the operator lists`;
}

/** @throws DependencyError for what isn't a name with versions */
function requirementOf(text: string, line: number): string {
	const hashes = [...` ${text}`.matchAll(HASH)].map(([, hash]) => `--hash=${hash}`).sort();
	const rest = ` ${text}`.replace(HASH, "").replace(/\s+/g, " ").trim();
	if (rest.length > LINE_CHARS) throw new DependencyError(`${REQUIREMENTS}:${line}: it has more than ${LINE_CHARS} characters`);
	if (REQUIREMENT.test(rest) && !ELSEWHERE.test(rest.replace(/;.*/, ""))) return [rest, ...hashes].join(" ");
	const why = ELSEWHERE.test(rest)
		? `${FROM_INDEX}: no git, file, path or URL`
		: "it is no requirement, as in name==1.2.3, name[extra]>=1,<2; python_version > '3.8', each perhaps with --hash=sha256:…";
	throw new DependencyError(`${REQUIREMENTS}:${line}: ${shown(rest)}: ${why}`);
}

function shown(text: string): string {
	return JSON.stringify(text.slice(0, 200));
}
