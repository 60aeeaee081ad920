interface Invoked {
	readonly id: string;
	readonly result?: unknown;
}
interface Context {
	invoke(name: string, payload?: unknown, options?: { readonly async?: boolean }): Promise<Invoked>;
	remainingMs(): number;
}

type Counts = Record<string, number>;

const PART_CHARS = 10_000;

/** Counts the words of a text, part by part: each part is an invocation of pipeline-word-count, many at a time. */
export default async ({ text = "" }: { text?: string }, ctx: Context) => {
	const parts = partsOf(text);
	const counted = await Promise.all(parts.map((part) => ctx.invoke("pipeline-word-count", { text: part })));
	const total: Counts = Object.create(null);
	for (const { result } of counted) {
		for (const [word, count] of Object.entries(result as Counts)) total[word] = (total[word] ?? 0) + count;
	}
	const most = Object.entries(total).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
	return { parts: parts.length, words: Object.fromEntries(most.slice(0, 10)), invocations: counted.map(({ id }) => id) };
};

/** Of about so many characters each, cut where no word is. */
function partsOf(text: string): string[] {
	const parts: string[] = [];
	for (let rest = text; rest !== ""; ) {
		const space = rest.slice(PART_CHARS).search(/\s/);
		const end = space < 0 ? rest.length : PART_CHARS + space;
		parts.push(rest.slice(0, end));
		rest = rest.slice(end);
	}
	return parts;
}
