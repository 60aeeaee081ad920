import { readdirSync } from "node:fs";

/** What is in a directory; nothing when it isn't there, or goes meanwhile. */
export function namesIn(directory: string): readonly string[] {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
}
