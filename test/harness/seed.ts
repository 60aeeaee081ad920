/** What `TEST_SEED` says: a test that makes its input at random, and fails, prints which seed it had, and makes the same again with it. */
export function saidSeed(): number | undefined {
	const said = process.env["TEST_SEED"];
	if (said === undefined) return undefined;
	const seed = Number(said);
	// fast-check's seeds are whole numbers of 32 bits.
	if (said === "" || seed !== (seed | 0)) throw new Error(`TEST_SEED=${said}: a whole number of 32 bits is wanted`);
	return seed;
}
