import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { handOver } from "./hand-over.mjs";
import { ROOT } from "./places.mjs";

const STATE = join(ROOT, "node_modules", ".berth");
const RESULTS = join(STATE, "test-results.json");
const VITEST = join(ROOT, "node_modules", "vitest", "vitest.mjs");

/** What each verb runs: of vitest's projects these alone, some of which are there only when they are asked for. */
const SELECTIONS = {
	test: { selection: [], env: {} },
	"test:long": { selection: ["--project", "long*"], env: { TEST_LONG: "1" } },
	"faults:long": {
		selection: ["--project", "long", "test/long/faults.long.test.ts"],
		env: { TEST_LONG: "1", TEST_ACKNOWLEDGED: "100000", TEST_KILLS: "200" },
	},
	// Whoever asks for this has nothing proven by what was skipped.
	"test:cgroup2": { selection: ["--project", "cgroup2"], env: { TEST_CGROUP2: "1" }, allowsSkips: false },
};

/**
 * Runs the tests, then says how many passed on a line of its own.
 * @param {readonly string[]} args for vitest
 * @param {keyof typeof SELECTIONS} verb
 * @returns {Promise<number>} the exit code
 */
export async function runTests(args, verb) {
	const { selection, env, allowsSkips = true } = SELECTIONS[verb];
	mkdirSync(STATE, { recursive: true });
	rmSync(RESULTS, { force: true });
	const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${RESULTS}`];
	const code = await handOver([VITEST, "run", ...reporters, ...selection, ...args], env);
	if (!existsSync(RESULTS)) {
		process.stderr.write("The tests ended without a result.\n");
		return code === 0 ? 1 : code;
	}
	const { passed, failed, skipped } = count(JSON.parse(readFileSync(RESULTS, "utf8")));
	process.stdout.write(`\n${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}\n`);
	return code === 0 && (failed > 0 || (skipped > 0 && !allowsSkips)) ? 1 : code;
}

/** A file that couldn't be loaded has no tests of its own, and counts as one that failed. */
function count(results) {
	const broken = results.testResults.filter(
		(file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
	);
	return {
		passed: results.numPassedTests,
		failed: results.numFailedTests + broken.length,
		skipped: results.numPendingTests + results.numTodoTests,
	};
}
