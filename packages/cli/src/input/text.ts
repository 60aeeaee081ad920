import { InvalidArgumentError } from "commander";

/** A text with something in it: an unset variable of a script's (`--data "$DATA"`) isn't meant as any. */
export function parseText(text: string): string {
	if (text === "") throw new InvalidArgumentError("It is empty.");
	return text;
}
