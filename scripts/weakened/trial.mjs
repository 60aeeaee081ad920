import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { environment, PINNED_NODE } from "../setup/places.mjs";
import { copyWith, remove } from "./tree.mjs";

/** How a test ends by what it asserts, at once or in the end (`eventually`, `expect.poll`). */
const ASSERTED = /^AssertionError|^Error: (?:not within \d+ ms: )?expected/;
/** And one that waits for what never comes: by vitest's words, or the gateway's, when a worker doesn't answer that is there. */
const WAITED = /^(?:TestTimeout)?Error: Test timed out|^Error: not within \d+ ms|^ApiError: .* did not answer in time/;

/**
 * Takes the protections away in a copy, and tries the rows there.
 * @param {import("../../test/security/weakened/plan.js").Trial} trial
 * @param {string} bases where copies find the bases that the first stack made
 * @param {AbortSignal} signal
 */
export async function runTrial(trial, bases, signal) {
	const begun = performance.now();
	const tree = copyWith(trial.edits);
	try {
		const tests = await testsIn(tree, trial, bases, signal);
		const judged = (aims, wanted) =>
			aims.map(({ row, tests: own, heldBy }) => ({ row, heldBy, ...judgementOf(own, tests, wanted, trial) }));
		const controls = trial.controls.length > 0 ? judged(trial.controls, "passed") : [othersOf(trial, tests)];
		const rows = { falls: judged(trial.falls, "failed"), stands: judged(trial.stands, "passed"), controls };
		const { name, protections, takes } = trial;
		const isAsItShould = [...rows.falls, ...rows.stands, ...rows.controls].every(({ isWanted }) => isWanted);
		return {
			name,
			protections,
			takes,
			isAsItShould,
			...rows,
			seconds: Math.round((performance.now() - begun) / 1000),
			at: new Date().toISOString(),
		};
	} finally {
		await remove(tree);
	}
}

/** A test's title in the words of a regular expression: what is filled in may be anything. */
const patternOf = (title) => title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/%s/g, ".*");

/** Of units all tests, as others of them show that the copy works. */
async function testsIn(tree, { falls, stands, controls }, bases, signal) {
	const named = [...falls, ...stands, ...controls].flatMap(({ tests }) => tests);
	const files = [...new Set(named.map(({ file }) => file))];
	const only = controls.length === 0 ? [] : ["-t", `(?:^| )(?:${named.map(({ title }) => patternOf(title)).join("|")})`];
	const results = join(tree, "results.json");
	const said = await vitest(
		tree,
		["run", "--root", tree, "--reporter=json", `--outputFile.json=${results}`, ...only, ...files],
		bases,
		signal,
	);
	signal.throwIfAborted();
	if (!existsSync(results)) throw new Error(`the tests ended without a result:\n${said}`);
	return JSON.parse(readFileSync(results, "utf8")).testResults.flatMap(({ name, message, assertionResults }) => {
		const file = name.slice(tree.length + 1);
		if (assertionResults.length === 0) return [{ file, titles: [], failures: [message || "it has no tests"] }];
		return assertionResults
			.filter(({ status }) => status === "passed" || status === "failed")
			.map(({ ancestorTitles, title, status, failureMessages }) => ({
				file,
				titles: [...ancestorTitles, title],
				failures: status === "passed" ? [] : failureMessages.map((one) => one.split("\n    at ")[0].trim()),
			}));
	});
}

/** In a process group of its own: a terminal's Ctrl-C is for us, who pass it on. */
function vitest(tree, args, bases, signal) {
	const child = spawn(PINNED_NODE, [join(tree, "node_modules/vitest/vitest.mjs"), ...args], {
		cwd: tree,
		env: environment({ TEST_BASES: bases, TEST_ATTACKS_APART: "1" }),
		stdio: ["ignore", "pipe", "pipe"],
		detached: true,
	});
	let said = "";
	for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
	// The stacks that it has started are ended by their reapers.
	const stop = () => process.kill(-child.pid, "SIGKILL");
	signal.addEventListener("abort", stop, { once: true });
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", () => {
			signal.removeEventListener("abort", stop);
			resolve(said);
		});
	});
}

/** How the tests of a row ended: `passed`, `failed` by what one of them asserts, or otherwise (the copy may be broken). */
function judgementOf(own, results, wanted, { neverEnds }) {
	const ran = results.filter((result) => own.some((test) => isOf(result, test)));
	const failures = ran.flatMap(({ failures: each }) => each);
	const got = failures.find((one) => ASSERTED.test(one) || (neverEnds && WAITED.test(one)));
	const how = ran.length === 0 ? "not run" : failures.length === 0 ? "passed" : got === undefined ? "broken" : "failed";
	return { how, why: got ?? failures[0] ?? "", isWanted: how === wanted };
}

function isOf({ file, titles }, test) {
	return file === test.file && titles.some((title) => new RegExp(`^${patternOf(test.title)}`).test(title));
}

/** Tests of the same files that aren't the rows' own: some of them pass where the copy works. */
function othersOf({ falls, stands }, results) {
	const own = [...falls, ...stands].flatMap(({ tests }) => tests);
	const others = results.filter((result) => !own.some((test) => isOf(result, test)));
	const passed = others.filter(({ failures }) => failures.length === 0).length;
	return { row: `${passed} other tests beside them`, heldBy: [], how: passed > 0 ? "passed" : "not run", why: "", isWanted: passed > 0 };
}
