import { beforeAll, describe, expect, it } from "vitest";
import type { Stack } from "../../harness/stack.js";
import { Arena } from "./arena.js";
import type { Attacker, Column } from "./attack.js";
import { MATRIX } from "./attacks.js";
import { expectUntouched, type Look, lookAtHost } from "./host.js";

/** How an attempt ends that was refused: an error of the kernel's by its name. */
const REFUSED = /^E[A-Z0-9]+$/;

/** Tries every attack of a column, several at a time, each under its name. */
export function attackColumn(column: Column, stackOf: () => Stack): void {
	describe.concurrent(`attacks on ${column}`, () => {
		let arena: Arena;
		let before: Look;
		beforeAll(() => {
			arena = new Arena(stackOf(), column);
			before = lookAtHost();
		});

		for (const { name, attack } of MATRIX) {
			if (attack === undefined || !("fixture" in attack) || attack.except?.[column] !== undefined) continue;
			it(name, async () => {
				const attacker = await arena.attacker(name, attack);
				await (attack.isContained ?? isRefused)(attacker);
				expectUntouched(before, attacker.mark);
			});
		}
	});
}

/** Under gVisor errors are its own kernel's to choose: what counts is what happened to the host, which is looked at anyhow. */
async function isRefused({ report, column }: Attacker): Promise<void> {
	const attempts = Object.entries(await report<Readonly<Record<string, string>>>());
	expect(attempts).not.toEqual([]);
	if (column !== "runsc") expect(attempts.filter(([, how]) => !REFUSED.test(how))).toEqual([]);
}
