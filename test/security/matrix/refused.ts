import { expect } from "vitest";
import type { Attacker } from "./attack.js";

/** How an attempt ends that was refused: an error of the kernel's by its name. */
const REFUSED = /^E[A-Z0-9]+$/;

/** What an attacker tells: how each of its attempts ended. */
export type Attempts = Readonly<Record<string, string>>;

/**
 * @param granted what its column's own kernel gives it, by name: these are, and all others aren't
 * @throws Error when another one wasn't refused, one of these was, or there was none
 */
export function expectRefused(attempts: Attempts, granted: readonly string[] = []): void {
	const entries = Object.entries(attempts);
	expect(entries).not.toEqual([]);
	const succeeded = entries.filter(([, how]) => !REFUSED.test(how));
	expect(succeeded.map(([name]) => name).sort(), JSON.stringify(attempts)).toEqual([...granted].sort());
}

/** All that it tries is refused, but for what its column grants it. @param ask for what only its stack knows */
export function isRefusedAll(ask: (attacker: Attacker) => object = () => ({})): (attacker: Attacker) => Promise<void> {
	return async (attacker) => expectRefused(await attacker.report<Attempts>(ask(attacker)), attacker.granted);
}
