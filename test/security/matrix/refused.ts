import { expect } from "vitest";
import type { Attacker } from "./attack.js";

/** How an attempt ends that was refused: an error of the kernel's by its name. */
const REFUSED = /^E[A-Z0-9]+$/;

/** What an attacker tells: how each of its attempts ended. */
export type Attempts = Readonly<Record<string, string>>;

/** @throws Error when one of them wasn't refused, or there was none */
export function expectRefused(attempts: Attempts): void {
	const entries = Object.entries(attempts);
	expect(entries).not.toEqual([]);
	expect(entries.filter(([, how]) => !REFUSED.test(how))).toEqual([]);
}

/** All that it tries is refused. Under gVisor errors are its own kernel's to choose: there it counts what happened to the host, which is looked at anyhow. */
export async function isRefused({ report, column }: Attacker): Promise<void> {
	const attempts = await report<Attempts>();
	if (column !== "runsc") expectRefused(attempts);
}

/** The same, given what only its stack knows; refused by whatever kernel it asks. */
export function isRefusedAll(ask: (attacker: Attacker) => object = () => ({})): (attacker: Attacker) => Promise<void> {
	return async (attacker) => expectRefused(await attacker.report<Attempts>(ask(attacker)));
}
