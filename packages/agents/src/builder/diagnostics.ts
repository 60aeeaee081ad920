import type { Diagnostic } from "@berth/contracts/agent";
import type { Message } from "esbuild";

/** What an answer's head has room for. */
const MOST = 50;
const MOST_BYTES = 16 * 1024;
const LINE_CHARACTERS = 240;

/** What esbuild says of an import that it doesn't find, where that is a package's name. */
const UNRESOLVED_PACKAGE = /^Could not resolve "(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*(?:\/[^"]*)?"$/i;
const NO_PACKAGES =
	"it isn't installed: an archive or directory has what the dependencies of its package.json list installed; `npm install <package>` lists one there and in the lock file";

/** A path that leads out of the directory that was bundled. */
export function isOutside(path: string): boolean {
	return path.startsWith("../") || path.startsWith("/");
}

/** esbuild's messages as ours: places count from 1, and no path or line of anything that isn't the source. */
export function diagnosticsOf(severity: Diagnostic["severity"], messages: readonly Message[], directory: string): Diagnostic[] {
	const diagnostics = messages.map(({ text, location }): Diagnostic => {
		if (location === null) return { severity, message: inSource(text, directory) };
		// What stands in a file of the sandbox's is nobody's business, be it in the text or in the line.
		if (isOutside(location.file)) return { severity, message: "A file outside the source can't be used." };
		return {
			severity,
			message: inSource(text, directory),
			file: location.file,
			line: location.line,
			column: location.column + 1,
			lineText: location.lineText.slice(0, LINE_CHARACTERS),
		};
	});
	return withAdvice(diagnostics);
}

/** The first of them, as many as fit into an answer's head. */
export function capped(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
	let bytes = 0;
	return diagnostics.slice(0, MOST).filter((diagnostic) => {
		bytes += JSON.stringify(diagnostic).length;
		return bytes <= MOST_BYTES;
	});
}

function inSource(text: string, directory: string): string {
	return text.replaceAll(`${directory}/`, "").replaceAll(directory, ".").slice(0, 1000);
}

/** The first package that isn't found comes with what to do about packages. */
function withAdvice(diagnostics: Diagnostic[]): Diagnostic[] {
	const first = diagnostics.findIndex(({ message }) => UNRESOLVED_PACKAGE.test(message));
	return diagnostics.map((diagnostic, i) =>
		i === first ? { ...diagnostic, message: `${diagnostic.message}; ${NO_PACKAGES}` } : diagnostic,
	);
}
