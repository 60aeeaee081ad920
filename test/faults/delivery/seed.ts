import { randomInt } from "node:crypto";

/** fast-check's seeds are whole numbers of 32 bits. */
const SEEDS = 2 ** 31;

/** A seed for histories that nobody has seen, or the one that `TEST_SEED` says: a test that fails says which it had. */
export function freshSeed(): number {
	const said = process.env["TEST_SEED"];
	if (said === undefined) return randomInt(SEEDS);
	const seed = Number(said);
	if (!Number.isInteger(seed)) throw new Error(`TEST_SEED=${said}: a whole number is wanted`);
	return seed;
}
