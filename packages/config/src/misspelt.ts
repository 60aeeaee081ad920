import { nearestWord } from "@berth/contracts";

const PREFIX = "BERTH_";
/** More settings than these have too little in common with a name to be what was meant. */
const MOST_MEANT = 3;

/** What to say about variables with our prefix that nothing reads: whoever set one believes that it does something. */
export function misspelt(env: Readonly<Record<string, string | undefined>>, known: readonly string[]): string[] {
	return Object.keys(env).flatMap((name) => {
		if (!name.startsWith(PREFIX) || known.includes(name)) return [];
		const meant = meantBy(name, known);
		const mend = meant.length === 0 ? "docs/settings.md lists those there are" : `did you mean ${meant.join(" or ")}?`;
		return [`${name}: there is no such setting; ${mend}`];
	});
}

/** The one that is spelt nearly so, or those that have most words of it (`BERTH_REDIS_URL`). */
function meantBy(name: string, known: readonly string[]): readonly string[] {
	const nearest = nearestWord(name, known);
	const words = wordsOf(name);
	const shared = known.map((one) => ({ one, count: wordsOf(one).filter((word) => words.includes(word)).length }));
	const most = Math.max(1, ...shared.map(({ count }) => count));
	const related = shared.filter(({ count }) => count === most).map(({ one }) => one);
	const meant = new Set([...(nearest === undefined ? [] : [nearest]), ...(related.length > MOST_MEANT ? [] : related)]);
	return [...meant];
}

function wordsOf(name: string): readonly string[] {
	return name.slice(PREFIX.length).split("_");
}
