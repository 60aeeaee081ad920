import { BerthError, NAME_PATTERN, NAME_RULE } from "@berth/contracts";

/** A function's or project's name from a path. @throws BerthError invalid_name */
export function nameFrom(text: unknown, field = "name"): string {
	if (typeof text === "string" && NAME_PATTERN.test(text)) return text;
	const shown = JSON.stringify(text)?.slice(0, 80);
	throw new BerthError("invalid_name", `${field} ${shown} isn't allowed: ${NAME_RULE}`, { issues: [{ field, message: NAME_RULE }] });
}

/** A version's number from a path. @throws BerthError invalid_request */
export function numberFrom(text: unknown): number {
	if (typeof text === "string" && /^[1-9]\d{0,8}$/.test(text)) return Number(text);
	throw new BerthError("invalid_request", `a version is a whole number from 1, not ${JSON.stringify(text)?.slice(0, 40)}`);
}
