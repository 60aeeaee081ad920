import { beforeAll, describe, expect, it } from "vitest";
import { freshName, refusalOf } from "../../harness/functions.js";
import type { Stack } from "../../harness/stack.js";
import { Arena } from "./arena.js";
import type { Column, Tried, TriedBuild } from "./attack.js";
import { MATRIX } from "./attacks.js";
import { expectUntouched, type Look, lookAtHost } from "./host.js";
import { isRefusedAll } from "./refused.js";

/** Tries every attack of a column, several at a time, each under its name. */
export function attackColumn(column: Column, stackOf: () => Stack): void {
	describe.concurrent(`attacks on ${column}`, () => {
		let arena: Arena;
		let before: Look;
		beforeAll(() => {
			arena = new Arena(stackOf(), column);
			before = lookAtHost();
		});

		for (const [name, tried] of triedIn(column, (attack) => "fixture" in attack)) {
			it(name, async () => {
				const attacker = await arena.attacker(name, tried);
				await (tried.isContained ?? isRefusedAll())(attacker);
				expectUntouched(before, attacker.mark);
			});
		}

		for (const [name, { archive, refused }] of triedIn(column, (attack) => "archive" in attack)) {
			it(name, async () => {
				const mark = freshName("berth-attack");
				const { client } = stackOf();
				expect(await refusalOf(client.deployArchive(freshName(), { ...archive(mark), manifest: {} }))).toMatchObject(refused);
				expectUntouched(before, mark);
			});
		}
	});
}

/** Those of a kind that aren't excepted, by name; what takes long first. */
function triedIn<A extends Tried | TriedBuild>(
	column: Column,
	isOfKind: (attack: Tried | TriedBuild) => attack is A,
): readonly (readonly [string, A])[] {
	const tried = MATRIX.flatMap(({ name, attack }) =>
		attack !== undefined && !("tests" in attack) && attack.except?.[column] === undefined && isOfKind(attack)
			? [[name, attack] as const]
			: [],
	);
	const isSlow = ([, attack]: (typeof tried)[number]) => "slow" in attack && attack.slow === true;
	return [...tried.filter(isSlow), ...tried.filter((one) => !isSlow(one))];
}
