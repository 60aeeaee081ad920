import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { violationsIn } from "../faults/delivery/checker.js";
import { freshSeed } from "../faults/delivery/seed.js";
import { acknowledgedIn, Rounds } from "../faults/nodes/round.js";
import { Cluster } from "../harness/cluster.js";
import { Witness } from "../harness/witness.js";

/** `npm run faults:long` wants a hundred thousand and two hundred; the long suite a piece of that. */
const ACKNOWLEDGED = Number(process.env["TEST_ACKNOWLEDGED"] ?? 4000);
const KILLS = Number(process.env["TEST_KILLS"] ?? 20);
/** With `TEST_SEED` and `TEST_ROUND` a run goes on where one ended, or does a round again. */
const SEED = freshSeed();
const FIRST = Number(process.env["TEST_ROUND"] ?? 0);
const OUT = process.env["TEST_RESULTS"] ?? fileURLToPath(new URL("../../faults-results.json", import.meta.url));
const HOURS_MS = 3_600_000;
const BOUNDS = {
	gateways: 2,
	workers: 3,
	faults: 16,
	gapMs: { min: 500, max: 4000 },
	clients: 16,
	leastAcknowledged: 2500,
};
/** Seeds of the rounds of a run are this far apart: those of a round's clients follow on it. */
const STRIDE = 1000;

let witness: Witness;
let cluster: Cluster;
let rounds: Rounds;
beforeAll(async () => {
	witness = await Witness.start();
	cluster = await Cluster.start({ diskMiB: 1024, env: { BERTH_BINDS: witness.setting, BERTH_CRASHES_ALLOWED: "0" } });
	rounds = await Rounds.of(cluster, witness);
});
afterAll(async () => {
	await cluster?.stop();
	await witness?.[Symbol.asyncDispose]();
});

it(
	`${ACKNOWLEDGED} acknowledged invocations and ${KILLS} kills, beside everything else that happens to machines, keep every promise (TEST_SEED=${SEED})`,
	async () => {
		const began = performance.now();
		let acknowledged = 0;
		for (let round = FIRST; acknowledged < ACKNOWLEDGED || rounds.tally.kills < KILLS; round++) {
			const faults: string[] = [];
			const seed = (SEED + round * STRIDE) | 0;
			const seen = await rounds.run({ ...BOUNDS, seed }, (text) => faults.push(text));
			acknowledged += acknowledgedIn(seen);
			const violations = violationsIn(seen);
			const { done, kills } = rounds.tally;
			const seconds = Math.round((performance.now() - began) / 1000);
			const result = { seed: SEED, round, acknowledged, kills, seconds, faults: Object.fromEntries(done), violations };
			await writeFile(OUT, `${JSON.stringify(result, null, "\t")}\n`);
			process.stdout.write(`round ${round}: ${acknowledged} acknowledged, ${kills} kills, ${violations.length} violations, ${seconds} s\n`);
			expect(violations, `TEST_SEED=${SEED} TEST_ROUND=${round} does the same again: ${faults.join(" ")}`).toEqual([]);
		}
		const { done, kills } = rounds.tally;
		const rows = [...done].sort().map(([kind, times]) => `| ${kind} | ${times} |`);
		process.stdout.write(
			`\n| acknowledged | kills | violations |\n| --- | --- | --- |\n| ${acknowledged} | ${kills} | none |\n\n| fault | times |\n| --- | --- |\n${rows.join("\n")}\n`,
		);
	},
	3 * HOURS_MS,
);
