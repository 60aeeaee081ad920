import type { FunctionError } from "@berth/contracts";
import { ERROR_CHARS } from "./agent-words.js";
import { formsOf } from "./secret-forms.js";

/** What is shorter isn't looked for: it would be found in what has nothing to do with it. Characters. */
const LEAST_CHARS = 8;
/** Characters that may be compared for one of a text, and for a text at all: a secret can be made to look like its beginning everywhere. */
const COMPARED_PER_CHAR = 64;
const COMPARED_AT_LEAST = 1024;
const TOO_ALIKE = "[berth: this has the beginnings of secrets too often to be shown]";
/** One for each value of the first characters, in bits. */
const FILTER_BITS = 16;

interface Form {
	readonly text: string;
	readonly name: string;
}

/**
 * Puts `[secret:NAME]` in the place of secrets, as they are and in the forms that languages and formats have for them (`formsOf`), in text that a function made.
 * It is one pass: a table of first characters says where none can begin.
 */
export class Redactor {
	/** By how they begin; the longest first. */
	readonly #forms = new Map<string, Form[]>();
	readonly #filter = new Uint8Array(1 << FILTER_BITS);
	/** As much of the end of a text may be the beginning of a secret, characters. */
	readonly heldChars: number;

	private constructor(forms: readonly Form[]) {
		for (const form of forms) {
			const head = form.text.slice(0, LEAST_CHARS);
			const known = this.#forms.get(head);
			if (known === undefined) this.#forms.set(head, [form]);
			else known.push(form);
			this.#filter[placeOf(form.text, 0)] = 1;
		}
		for (const list of this.#forms.values()) list.sort((a, b) => b.text.length - a.text.length);
		this.heldChars = Math.max(...forms.map(({ text }) => text.length)) - 1;
	}

	/** @param values of secrets by name. @returns undefined when there is nothing to look for */
	static of(values: Readonly<Record<string, string>> = {}): Redactor | undefined {
		const forms = Object.entries(values).flatMap(([name, value]) =>
			formsOf(value)
				.filter((text) => text.length >= LEAST_CHARS)
				.map((text) => ({ name, text })),
		);
		return forms.length === 0 ? undefined : new Redactor(forms);
	}

	redact(text: string): string {
		let [left, shown, from] = [COMPARED_AT_LEAST + COMPARED_PER_CHAR * text.length, "", 0];
		for (let at = 0; at + LEAST_CHARS <= text.length; at++) {
			if (this.#filter[placeOf(text, at)] === 0) continue;
			for (const form of this.#forms.get(text.slice(at, at + LEAST_CHARS)) ?? []) {
				if (at + form.text.length > text.length) continue;
				left -= form.text.length;
				if (left < 0) return TOO_ALIKE;
				if (!text.startsWith(form.text, at)) continue;
				shown += `${text.slice(from, at)}[secret:${form.name}]`;
				from = at + form.text.length;
				at = from - 1;
				break;
			}
		}
		return from === 0 ? text : shown + text.slice(from);
	}

	/** The same of a text that was cut: what may be the beginning of a secret at its end goes. */
	redactCut(text: string): string {
		const redacted = this.redact(text);
		return redacted.slice(0, Math.max(0, redacted.length - this.heldChars));
	}
}

/** An error that a function made, as it may be shown. Its texts may have been cut. */
export function errorShown(redactor: Redactor | undefined, { name, message, stack }: FunctionError): FunctionError {
	const shown = (text: string, mostChars: number) => (text.length < mostChars ? redactor?.redact(text) : redactor?.redactCut(text)) ?? text;
	return {
		name: shown(name, Number.POSITIVE_INFINITY),
		message: shown(message, ERROR_CHARS.message),
		...(stack === undefined ? {} : { stack: shown(stack, ERROR_CHARS.stack) }),
	};
}

/** Where in the table a text's characters from there are. */
function placeOf(text: string, at: number): number {
	const mixed =
		Math.imul(text.charCodeAt(at), 0x9e3779b1) ^
		Math.imul(text.charCodeAt(at + 1), 0x85ebca6b) ^
		Math.imul(text.charCodeAt(at + 2), 0xc2b2ae35);
	return mixed >>> (32 - FILTER_BITS);
}
