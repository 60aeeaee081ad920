/** Language environments. */
export const RUNTIMES = ["node24", "node22", "python3", "custom"] as const;
export type Runtime = (typeof RUNTIMES)[number];

/** What reads a runtime's sources, and which agent is in its base. `custom`: a program of the function's own. */
export type Language = "node" | "python" | "custom";

export function languageOf(runtime: Runtime): Language {
	if (runtime === "custom") return "custom";
	return runtime === "python3" ? "python" : "node";
}

/** Whose packages a source may name to be installed. */
export type PackagedLanguage = Exclude<Language, "custom">;

/** A program of the function's own names none: whatever is said here of one isn't asked for. */
export function packagesOf(runtime: Runtime): PackagedLanguage {
	return runtime === "python3" ? "python" : "node";
}

/** What an inline source is called when the deploy doesn't say. */
export const DEFAULT_FILENAME: Readonly<Record<Language, string>> = { node: "index.ts", python: "index.py", custom: "bootstrap" };
