import { LEVEL_MARK } from "@berth/contracts/agent";

/** What prints to the same stream as others that mean something else. */
const MARKS = { debug: `${LEVEL_MARK}D`, warn: `${LEVEL_MARK}W` } as const;

/**
 * Says which lines `console.debug` and `console.warn` printed: they go to the streams of `console.log` and `console.error`. What
 * writes to the descriptors itself has its stream's level.
 */
export function markLevels(): void {
	let mark: string | undefined;
	for (const method of ["debug", "warn"] as const) {
		const print = console[method].bind(console);
		console[method] = (...said: unknown[]) => {
			mark = MARKS[method];
			try {
				print(...said);
			} finally {
				mark = undefined;
			}
		};
	}
	for (const stream of [process.stdout, process.stderr]) {
		const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
		stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) =>
			write(mark === undefined ? chunk : marked(String(chunk), mark), ...rest)) as typeof stream.write;
	}
}

/** Each of its lines. */
function marked(text: string, mark: string): string {
	return mark + text.replace(/\n(?!$)/g, `\n${mark}`);
}
