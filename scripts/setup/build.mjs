import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BIN, ROOT } from "./places.mjs";
import { runProgram } from "./run-program.mjs";

const PACKAGES = join(ROOT, "packages");
const STAMP = join(ROOT, "node_modules", ".berth", "built");

/** Compiles every package that changed. */
export const build = {
	title: "Build",
	plan: () => (isBuilt() ? undefined : "compiles what changed"),
	async run(log) {
		const sources = sourcesDigest();
		await runProgram(log, join(BIN, "turbo"), ["run", "build", "--ui=stream", "--output-logs=errors-only"], {
			advice: "Mend what the compiler names, then run this again.",
		});
		mkdirSync(join(ROOT, "node_modules", ".berth"), { recursive: true });
		writeFileSync(STAMP, sources);
	},
};

function isBuilt() {
	const outputs = readdirSync(PACKAGES).every((name) => existsSync(join(PACKAGES, name, "dist")));
	return outputs && existsSync(STAMP) && readFileSync(STAMP, "utf8") === sourcesDigest();
}

/** A digest of everything that a build reads; starting turbo to learn that nothing changed takes longer. */
function sourcesDigest() {
	const digest = createHash("sha256");
	const add = (path) => digest.update(path.slice(ROOT.length)).update("\0").update(readFileSync(path)).update("\0");
	for (const name of ["package-lock.json", "tsconfig.base.json", "turbo.json", "scripts/bundle.mjs", "scripts/bundled-stacks.mjs"])
		add(join(ROOT, name));
	for (const name of readdirSync(PACKAGES).sort()) {
		const directory = join(PACKAGES, name);
		for (const file of ["package.json", "tsconfig.json", "build.mjs"]) if (existsSync(join(directory, file))) add(join(directory, file));
		for (const path of filesBelow(join(directory, "src"))) add(path);
	}
	return digest.digest("hex");
}

function filesBelow(directory) {
	return readdirSync(directory, { withFileTypes: true })
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) => {
			const path = join(directory, entry.name);
			if (entry.isDirectory()) return filesBelow(path);
			return entry.name.endsWith(".test.ts") ? [] : [path];
		});
}
