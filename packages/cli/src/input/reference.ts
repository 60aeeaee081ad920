import { ALIAS_RULE, isAliasName, type Selector, selectorOf } from "@berth/contracts";
import { InvalidArgumentError } from "commander";

/** A function, and what of it is meant. */
export interface Reference {
	readonly name: string;
	readonly selector?: Selector;
}

/** `hello`, `hello@canary`, `hello@3`. What a function may be called, the gateway says. */
export function parseReference(text: string): Reference {
	const at = text.indexOf("@");
	if (at < 0) return { name: text };
	if (at === 0) throw new InvalidArgumentError("Before the @ stands a function: hello@canary, hello@3.");
	const selector = selectorOf(text.slice(at + 1));
	if (selector === undefined) throw new InvalidArgumentError("After the @ stands an alias or a version: hello@canary, hello@3.");
	return { name: text.slice(0, at), selector };
}

/** An alias's name. */
export function parseAlias(text: string): string {
	if (!isAliasName(text)) throw new InvalidArgumentError(`An alias has ${ALIAS_RULE}.`);
	return text;
}
