import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { violationsIn } from "../faults/delivery/checker.js";
import { freshSeed } from "../faults/delivery/seed.js";
import { lineOf, type Results, resultsBefore, textOf, withRound, writeResults } from "../faults/nodes/results.js";
import { MACHINES, Rounds } from "../faults/nodes/round.js";

/** `npm run faults:long` wants a hundred thousand and two hundred; the long suite a piece of that. */
const ACKNOWLEDGED = Number(process.env["TEST_ACKNOWLEDGED"] ?? 4000);
const KILLS = Number(process.env["TEST_KILLS"] ?? 20);
/** No round begins that would end later, going by the longest: what there was until then counts. */
const MINUTES = Number(process.env["TEST_MINUTES"] ?? 180);
/** With `TEST_SEED` and `TEST_ROUND` a run goes on where one ended, or does a round again. */
const SEED = freshSeed();
const FIRST = Number(process.env["TEST_ROUND"] ?? 0);
const OUT = process.env["TEST_RESULTS"] ?? fileURLToPath(new URL("../../faults-results.json", import.meta.url));
const BOUNDS = {
	...MACHINES,
	faults: 36,
	gapMs: { min: 300, max: 2200 },
	clients: { all: 24, queueing: 6, bursts: 2 },
	leastAcknowledged: 1000,
};
const NOTHING = { asked: [], schedules: [] };
/** Seeds of the rounds of a run are this far apart: those of a round's clients follow on it. */
const STRIDE = 1000;
/** Until the machines are up, and after the last round. */
const AROUND_MS = 180_000;
const secondsSince = (startMs: number) => Math.round((performance.now() - startMs) / 1000);

const began = performance.now();
let rounds: Rounds;
beforeAll(async () => {
	rounds = await Rounds.start();
});
afterAll(() => rounds?.[Symbol.asyncDispose]());

it(
	`${ACKNOWLEDGED} acknowledged invocations and ${KILLS} kills, beside everything else that happens to machines, keep every promise (TEST_SEED=${SEED})`,
	async () => {
		let results = await resultsBefore(OUT, SEED, FIRST);
		let longest = 0;
		const isEnough = ({ acknowledged, kills }: Results) => acknowledged >= ACKNOWLEDGED && kills >= KILLS;
		let isBroken = false;
		while (!isBroken && !isEnough(results) && secondsSince(began) + longest <= MINUTES * 60) {
			const roundBegan = performance.now();
			const faults: string[] = [];
			const again = `TEST_SEED=${SEED} TEST_ROUND=${results.rounds}`;
			const run = rounds.run({ ...BOUNDS, seed: (SEED + results.rounds * STRIDE) | 0 }, (text) => faults.push(text));
			const history = await run.catch((error: Error) => error);
			// Something doesn't come back: no further round would show anything.
			isBroken = history instanceof Error;
			const wrong = history instanceof Error ? [history.message] : violationsIn(history);
			const violations = wrong.map((violation) => `${again}: ${violation}`);
			const seconds = secondsSince(roundBegan);
			longest = Math.max(longest, seconds);
			results = withRound(results, history instanceof Error ? NOTHING : history, rounds.takeTally(), { seconds, violations });
			await writeResults(OUT, results);
			process.stdout.write(`${lineOf(results)}\n`);
			if (violations.length === 0) continue;
			process.stdout.write(`${[...violations, ...faults].join("\n")}\n`);
			await writeFile(OUT.replace(/(?:\.json)?$/, `.round-${results.rounds - 1}.json`), JSON.stringify({ faults, history }));
		}
		process.stdout.write(`\n${textOf(results)}`);
		expect(results.violations).toEqual([]);
		expect(results.rounds).toBeGreaterThan(FIRST);
		// Who asks for less time asks for less.
		if (process.env["TEST_MINUTES"] === undefined) expect(isEnough(results)).toBe(true);
	},
	MINUTES * 60_000 + AROUND_MS,
);
