/** The system's code of an error (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
	return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Whether an error says that there is no such file, directory or process; below a file there is none either. */
export function isMissing(error: unknown): boolean {
	const code = codeOf(error);
	return code === "ENOENT" || code === "ENOTDIR" || code === "ESRCH";
}

/** What is wrong with a file that somebody named. */
export function fileFault(error: unknown): string {
	if (codeOf(error) === "EISDIR") return "it is a directory, and a file is wanted";
	return isMissing(error) ? "there is no such file or directory" : messageOf(error);
}

/** An error in one line. */
export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
