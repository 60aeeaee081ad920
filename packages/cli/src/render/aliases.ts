import { type Alias, wholeVersionOf } from "@berth/contracts";

/** Where an alias leads: `v3`, or `v3 90 %, v4 10 %`. */
export function targetText(alias: Alias): string {
	const whole = wholeVersionOf(alias);
	if (whole !== undefined) return `v${whole}`;
	return Object.entries(alias.weights)
		.map(([number, percent]) => `v${number} ${percent} %`)
		.join(", ");
}

/** The aliases that lead to a version: `live, canary 10 %`. */
export function namesText(aliases: readonly Alias[], number: number): string {
	return aliases
		.filter(({ weights }) => number in weights)
		.map(({ name, weights }) => (weights[number] === 100 ? name : `${name} ${weights[number]} %`))
		.join(", ");
}
