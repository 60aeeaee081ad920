import { afterAll, beforeAll, expect, it } from "vitest";
import { Cluster } from "../harness/cluster.js";
import { saidSeed } from "../harness/seed.js";
import { Witness } from "../harness/witness.js";
import { violationsIn } from "./delivery/checker.js";
import { acknowledgedIn, Rounds } from "./nodes/round.js";

/**
 * Seven faults of as many kinds, a worker whose clock is an hour ahead and kills of a worker, a gateway and the fast Redis among them; `TEST_SEED` says
 * others. With this one an interactive invocation had begun twice, as the fast Redis came back without its newest writes.
 */
const SEED = saidSeed() ?? 170;
const FAULTS = Number(process.env["TEST_FAULTS"] ?? 7);

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

it(`whatever happens to machines, servers and what is between them: nothing accepted is lost, no late result is taken, nothing that somebody waits for begins twice (TEST_SEED=${SEED})`, async () => {
	const bounds = { gateways: 2, workers: 3, faults: FAULTS, gapMs: { min: 500, max: 2500 } };
	const faults: string[] = [];
	const seen = await rounds.run({ ...bounds, seed: SEED, clients: 12, leastAcknowledged: 400 }, (text) => faults.push(text));
	expect(violationsIn(seen), faults.join(" ")).toEqual([]);
	// That there was something to see: where everything is refused nothing is proven.
	expect(acknowledgedIn(seen)).toBeGreaterThanOrEqual(400);
	expect(rounds.tally.kills).toBeGreaterThanOrEqual(2);
});
