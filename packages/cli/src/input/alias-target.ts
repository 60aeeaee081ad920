import { type AliasTarget, LATEST, versionNumberOf } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";

const RULE = `versions with per cents that sum to 100 (v3=90 v4=10), one version (v3), or ${LATEST}`;

/** `latest`, `v3`, or `v3=90 v4=10`. @throws CommandFailure when it is none of them */
export function aliasTargetOf(words: readonly string[]): AliasTarget {
	const [first = "", ...others] = words;
	if (others.length === 0 && first === LATEST) return { follows: true };
	const only = others.length === 0 ? versionNumberOf(first) : undefined;
	if (only !== undefined) return { weights: { [only]: 100 } };
	const weights = Object.fromEntries(words.map(shareOf));
	const numbers = Object.keys(weights);
	const sum = Object.values(weights).reduce((total, percent) => total + percent, 0);
	if (numbers.length !== words.length) throw wrong("a version is named twice");
	if (sum !== 100) throw wrong(`these sum to ${sum}`);
	return { weights };
}

function shareOf(word: string): readonly [string, number] {
	const [version = "", percent = ""] = word.split("=", 2);
	const number = versionNumberOf(version);
	if (number === undefined || !/^(?:[1-9]\d?|100)$/.test(percent)) throw wrong(`${JSON.stringify(word)} isn't one of them`);
	return [String(number), Number(percent)];
}

function wrong(what: string): CommandFailure {
	return new CommandFailure(EXIT.usage, `an alias is set to ${RULE}; ${what}`);
}
