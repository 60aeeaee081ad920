import { nearestWord } from "@berth/contracts";

/** A letter or two: `BERTH_PREWARM`. Whoever has a variable of their own that begins so is left alone. */
const CLOSE = 2;

/** What to say about variables that nobody reads but that look like a setting. */
export function misspelt(env: Readonly<Record<string, string | undefined>>, settings: readonly string[]): string[] {
	return Object.keys(env).flatMap((name) => {
		if (!name.startsWith("BERTH_") || settings.includes(name)) return [];
		const meant = nearestWord(name, settings, CLOSE);
		return meant === undefined ? [] : [`${name}: there is no such setting; did you mean ${meant}?`];
	});
}
