import type { PackageRegistry } from "@berth/contracts/agent";
import { type End, saying } from "./program-end.js";

const WHY: Readonly<Record<string, string>> = {
	E401: "the registry wants a login (`berth registry set`)",
	E403: "the registry refuses it; the login there is (`berth registry set`) may not read it",
	E404: "a package isn't in the registry",
	ETARGET: "a version isn't in the registry",
	EINTEGRITY: "a package's bytes aren't those that the lock file was made with",
	EUSAGE: "package.json and package-lock.json don't belong together; run npm install and deploy both",
	EBADENGINE: "a package doesn't run on this Node",
	EBADPLATFORM: "a package is for another platform",
	ENOSPC: "they are larger than there is room for",
	ERESOLVE: "their peer dependencies contradict each other",
	EALLOWGIT: "a package depends on git, and only packages of a registry are installed",
	EALLOWREMOTE: "a package depends on a URL, and only packages of a registry are installed",
	EALLOWFILE: "a package depends on a file, and only packages of a registry are installed",
	EALLOWDIRECTORY: "a package depends on a directory, and only packages of a registry are installed",
};

/** npm's own message, after ours where the code tells more. */
export function npmFailure(end: End, registries: readonly PackageRegistry[]): string {
	try {
		const { code, message } = JSON.parse(end.out) as { code: string; message: string };
		const why = WHY[code];
		// The checksum, which npm's message begins with, is in it twice, and in its other lines once more.
		const words = code === "EINTEGRITY" ? message.replace(/^.* (?=wanted )/s, "") : message;
		const lines = end.lines.map((line) => line.replace(/ \(sha\d+-[^)]*\)/, ""));
		return `${why === undefined ? "" : `${why}: `}${words}${scopeAdvice(code, message, registries)}${saying({ ...end, lines }, "npm")}`;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		return `npm ended with ${end.code}.${saying(end, "npm")}`;
	}
}

/** A package of a scope that no registry of the project's is said to have was looked for in the default one. */
function scopeAdvice(code: string, message: string, registries: readonly PackageRegistry[]): string {
	const [, scope] = /\/(@[\w.-]+)(?:\/|%2f)/i.exec(message) ?? [];
	if (code !== "E404" || scope === undefined || registries.some(({ scopes }) => scopes.includes(scope))) return "";
	return `. If ${scope} has a registry of its own, \`berth registry set <host> --scope ${scope}\` says which`;
}
