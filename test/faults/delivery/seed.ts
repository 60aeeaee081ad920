import { randomInt } from "node:crypto";
import { saidSeed } from "../../harness/seed.js";

const SEEDS = 2 ** 31;

/** A seed for histories that nobody has seen, or the one that `TEST_SEED` says: a test that fails says which it had. */
export const freshSeed = (): number => saidSeed() ?? randomInt(SEEDS);
