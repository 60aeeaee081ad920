/** Words of which more has to be changed aren't alike. */
const CLOSE_ENOUGH = 3;
const LONGEST = 64;

/** Of the known words the one that looks most like this one, case apart: what may have been meant; undefined when none is close. */
export function nearestWord(word: string, known: readonly string[], within = CLOSE_ENOUGH): string | undefined {
	const [best] = known
		.map((name) => ({ name, distance: distance(word.toLowerCase(), name.toLowerCase()) }))
		.sort((a, b) => a.distance - b.distance);
	// A short word may be changed into any other of its length.
	const near = Math.min(within, Math.max(1, Math.floor(word.length / 2)));
	return best !== undefined && best.distance <= near ? best.name : undefined;
}

/** Levenshtein's distance, of short words. */
function distance(a: string, b: string): number {
	if (a.length > LONGEST) return Number.POSITIVE_INFINITY;
	let row = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substituted));
		}
		row = next;
	}
	return row[b.length] as number;
}
