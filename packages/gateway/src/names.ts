import {
	ALIAS_RULE,
	BerthError,
	isAliasName,
	NAME_PATTERN,
	NAME_RULE,
	SECRET_NAME_RULE,
	type Selector,
	selectorOf,
	VARIABLE_NAME,
	VERSION_RULE,
	versionNumberOf,
} from "@berth/contracts";

/** A function's or project's name from a path. @throws BerthError invalid_name */
export function nameFrom(text: unknown, field = "name"): string {
	if (typeof text === "string" && NAME_PATTERN.test(text)) return text;
	throw wrong("invalid_name", field, text, NAME_RULE);
}

/** A secret's name from a path. @throws BerthError invalid_name */
export function secretNameFrom(text: unknown): string {
	if (typeof text === "string" && VARIABLE_NAME.test(text)) return text;
	throw wrong("invalid_name", "name", text, SECRET_NAME_RULE);
}

/** What an invocation is of: a function, and what of it when that isn't `live`. */
export interface Target {
	readonly name: string;
	readonly selector?: Selector;
}

/** `hello`, `hello@canary` or `hello@3` from a path. @throws BerthError invalid_name */
export function targetFrom(text: unknown): Target {
	const at = typeof text === "string" ? text.indexOf("@") : -1;
	if (at < 0) return { name: nameFrom(text) };
	const [name, word] = [nameFrom((text as string).slice(0, at)), (text as string).slice(at + 1)];
	const selector = selectorOf(word);
	if (selector === undefined) throw wrong("invalid_name", "alias", word, `${ALIAS_RULE}; ${VERSION_RULE}`);
	return { name, selector };
}

/** An alias's name from a path. @throws BerthError invalid_name */
export function aliasFrom(text: unknown): string {
	if (typeof text === "string" && isAliasName(text)) return text;
	throw wrong("invalid_name", "alias", text, ALIAS_RULE);
}

/** A version's number from a path. @throws BerthError invalid_request */
export function numberFrom(text: unknown): number {
	const number = typeof text === "string" ? versionNumberOf(text) : undefined;
	if (number === undefined) throw wrong("invalid_request", "version", text, VERSION_RULE);
	return number;
}

/** `true` or `false` in a query. @throws BerthError invalid_request */
export function flagFrom(text: unknown, field: string, otherwise: boolean): boolean {
	if (text === undefined) return otherwise;
	if (text === "true" || text === "false") return text === "true";
	throw wrong("invalid_request", field, text, "true or false");
}

function wrong(code: "invalid_name" | "invalid_request", field: string, text: unknown, rule: string): BerthError {
	const detail = `${field} ${JSON.stringify(text)?.slice(0, 80)} isn't allowed: ${rule}`;
	return new BerthError(code, detail, { issues: [{ field, message: rule }] });
}
