import { setTimeout as pause } from "node:timers/promises";

const LOOK_MS = 25;

/**
 * Looks until `look` stops throwing and gives its value. For states that nothing announces; the bound is for a system
 * that never gets there, not a promise of speed. @throws the last error, with how long was waited
 */
export async function eventually<T>(look: () => T | Promise<T>, withinMs = 30_000): Promise<T> {
	const until = performance.now() + withinMs;
	for (;;) {
		try {
			return await look();
		} catch (error) {
			if (performance.now() > until) throw new Error(`not within ${withinMs} ms: ${(error as Error).message}`, { cause: error });
		}
		await pause(LOOK_MS);
	}
}
