const MOST = 20_000_000;

/** Counts the primes up to `limit` with a sieve; a million takes some milliseconds. */
export default (payload: { limit?: number } | undefined) => {
	const limit = Math.trunc(payload?.limit ?? 1_000_000);
	if (!(limit >= 2 && limit <= MOST)) throw new RangeError(`limit: a number from 2 to ${MOST}`);
	const startedAt = performance.now();
	return { limit, primes: countPrimes(limit), ms: Math.round(performance.now() - startedAt) };
};

function countPrimes(limit: number): number {
	const composite = new Uint8Array(limit + 1);
	let count = 0;
	for (let candidate = 2; candidate <= limit; candidate++) {
		if (composite[candidate] === 1) continue;
		count++;
		for (let multiple = candidate * candidate; multiple <= limit; multiple += candidate) composite[multiple] = 1;
	}
	return count;
}
