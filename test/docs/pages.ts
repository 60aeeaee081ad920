import { readdirSync } from "node:fs";
import { join, relative } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** Made, or somebody else's. */
const LEFT_OUT = new Set(["node_modules", "dist", ".git", "coverage"]);

/** Every Markdown file of the project, by its path from the root. */
export function pages(directory = ROOT): readonly string[] {
	return readdirSync(directory, { withFileTypes: true })
		.flatMap((entry) => {
			if (LEFT_OUT.has(entry.name)) return [];
			const path = join(directory, entry.name);
			if (entry.isDirectory()) return pages(path);
			return entry.name.endsWith(".md") ? [relative(ROOT, path)] : [];
		})
		.sort();
}
