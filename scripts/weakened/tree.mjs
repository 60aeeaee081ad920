import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { PINNED_NODE, ROOT } from "../setup/places.mjs";

/** Beside the stacks of tests: services that run as users of their own read it. */
const TEMPORARY = "/var/lib/berth-weakened-";
/** What a copy has none of. */
const LEFT_OUT = new Set(["node_modules", ".git", ".turbo"]);
const LOOK_MS = 200;

/**
 * A copy of the project, as it is built, in which something is otherwise. What is installed stays where it is, but for our own packages, which are the copy's.
 * @param {readonly import("../../test/security/weakened/weakenings.js").Edit[]} edits
 */
export function copyWith(edits) {
	const tree = mkdtempSync(TEMPORARY);
	execFileSync("chmod", ["755", tree]);
	try {
		for (const name of readdirSync(ROOT))
			if (!LEFT_OUT.has(name)) cpSync(join(ROOT, name), join(tree, name), { recursive: true, filter: (path) => !path.endsWith("/.turbo") });
		linkModules(tree);
		for (const edit of edits) change(tree, edit);
		if (edits.some(([file]) => file.startsWith("packages/agents/")))
			execFileSync(PINNED_NODE, ["build.mjs"], { cwd: join(tree, "packages/agents"), stdio: ["ignore", "ignore", "inherit"] });
		bundlePrograms(tree);
		return tree;
	} catch (error) {
		rmSync(tree, { recursive: true, force: true });
		throw error;
	}
}

/** Processes run what is bundled of what was compiled, as each package's build has it. */
function bundlePrograms(tree) {
	for (const name of readdirSync(join(tree, "packages"))) {
		const cwd = join(tree, "packages", name);
		const [, bundling] = JSON.parse(readFileSync(join(cwd, "package.json"), "utf8")).scripts.build.split(" && node ");
		if (bundling?.startsWith("../../scripts/bundle.mjs "))
			execFileSync(PINNED_NODE, bundling.split(" "), { cwd, stdio: ["ignore", "ignore", "inherit"] });
	}
}

function linkModules(tree) {
	const [from, to] = [ROOT, tree].map((root) => join(root, "node_modules"));
	mkdirSync(to);
	for (const name of readdirSync(from)) {
		if (name === "@berth") cpSync(join(from, name), join(to, name), { recursive: true, verbatimSymlinks: true });
		else if (!name.startsWith(".") || name === ".bin") symlinkSync(join(from, name), join(to, name));
	}
}

/** The source, for unit tests, and what was compiled from it, for processes. @throws Error when it isn't there just once */
function change(tree, [file, find, replace]) {
	const path = join(tree, file);
	const source = readFileSync(path, "utf8");
	const changed = edited(source, [file, find, replace]);
	writeFileSync(path, changed);
	if (!file.endsWith(".ts") || !file.startsWith("packages/") || file.startsWith("packages/agents/")) return;
	const compiled = path.replace("/src/", "/dist/").replace(/\.ts$/, ".js");
	unlinkSync(compiled);
	writeFileSync(compiled, stripTypeScriptTypes(changed, { mode: "transform" }));
}

/** @throws Error when what is to be found isn't there just once */
export function edited(source, [file, find, replace]) {
	const parts = source.split(find);
	if (parts.length !== 2)
		throw new Error(`the weakening is out of date: ${JSON.stringify(find)} is in ${file} ${parts.length - 1} times, not once`);
	return parts.join(replace);
}

/** When nothing that was started from it runs any more: what ends a stack whose tests were stopped is the copy's own. */
export async function remove(tree) {
	while (isUsed(tree)) await pause(LOOK_MS);
	rmSync(tree, { recursive: true, force: true });
}

function isUsed(tree) {
	return readdirSync("/proc").some((pid) => {
		if (!/^\d+$/.test(pid)) return false;
		try {
			return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${tree}/`);
		} catch {
			// It has ended meanwhile.
			return false;
		}
	});
}
