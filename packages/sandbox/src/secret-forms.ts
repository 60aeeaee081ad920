/**
 * The texts by which a function may print a value: as it is, in JSON, in URLs, in base64, and as Node and Python show it in an object.
 * A log is read by lines, and so are the lines of a value. Some 30 at most, and for a plain word a dozen.
 */
export function formsOf(value: string): readonly string[] {
	const json = JSON.stringify(value).slice(1, -1);
	const texts = [
		value,
		...value.split(/\r?\n/),
		json,
		// As Python writes it: ASCII alone.
		json.replace(/[\x7f-\uffff]/g, (sign) => `\\u${hex(sign, 4)}`),
		...urlFormsOf(value),
		...nodeFormsOf(value),
		...pythonFormsOf(value),
		...[0, 1, 2].flatMap((before) => base64Of(value, before)),
	];
	return [...new Set(texts)];
}

function urlFormsOf(value: string): readonly string[] {
	const quoted = encodeURIComponent(value);
	return [quoted, quoted.replace(/[!'()*]/g, (sign) => `%${hex(sign, 2).toUpperCase()}`), quoted.replaceAll("%20", "+")];
}

/**
 * As `util.inspect` has it (`strEscape` in Node's lib/internal/util/inspect.js): a long text in an object by lines, each in quotes of its own.
 */
function nodeFormsOf(value: string): readonly string[] {
	const short: Readonly<Record<string, string>> = { "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r" };
	return [value, ...value.split(/\r?\n/)]
		.map((text) => text.replace(/[\\\p{Cc}]/gu, (sign) => short[sign] ?? `\\x${hex(sign, 2).toUpperCase()}`))
		.flatMap(inEitherQuotes);
}

/** As `repr` has it, `ascii`, and `repr` of its bytes (unicode_repr in CPython's Objects/unicodeobject.c, and bytesobject.c). */
function pythonFormsOf(value: string): readonly string[] {
	const [unprintable, beyondAscii] = [/[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, /[^ -[\]-~]/gu];
	const bytes = Buffer.from(value).toString("latin1");
	return [
		value.replace(unprintable, pythonEscape),
		value.replace(beyondAscii, pythonEscape),
		bytes.replace(beyondAscii, pythonEscape),
	].flatMap(inEitherQuotes);
}

function pythonEscape(sign: string): string {
	const short: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
	const point = sign.codePointAt(0) as number;
	return short[sign] ?? (point < 0x100 ? `\\x${hex(sign, 2)}` : point < 0x10000 ? `\\u${hex(sign, 4)}` : `\\U${hex(sign, 8)}`);
}

/** Which quotes are around it goes by the whole text that it is part of: only single ones have theirs escaped within. */
function inEitherQuotes(text: string): readonly string[] {
	return [text, text.replaceAll("'", "\\'")];
}

/** What base64 makes of it behind so many other bytes, as far as these and those behind it have no part in it. */
function base64Of(value: string, before: number): readonly string[] {
	const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(value)]);
	const [first, last] = [Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6)];
	return (["base64", "base64url"] as const).map((encoding) => bytes.toString(encoding).slice(first, last));
}

function hex(sign: string, digits: number): string {
	return (sign.codePointAt(0) as number).toString(16).padStart(digits, "0");
}
