const MOST_BYTES = 64 * 1024;
const SHOWN_CHARS = 300;

/** The beginning of a body, and no more of it. */
export async function boundedText(body: AsyncIterable<Uint8Array>): Promise<string> {
	const pieces: Uint8Array[] = [];
	let bytes = 0;
	for await (const piece of body) {
		pieces.push(piece);
		bytes += piece.byteLength;
		if (bytes >= MOST_BYTES) break;
	}
	return Buffer.concat(pieces).subarray(0, MOST_BYTES).toString();
}

/** Text of somebody else's as it may stand in a message of ours. */
export function cleaned(text: string): string {
	return text
		.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")
		.trim()
		.slice(0, SHOWN_CHARS);
}

/** What a registry says is wrong (distribution spec, "Error codes"). */
export function reasonIn(text: string): string {
	const errors = errorsIn(text);
	return cleaned(errors === undefined ? text : errors.map(({ code, message }) => `${String(code)}: ${String(message)}`).join("; "));
}

/** Whether it says this code, among others or alone. */
export function saysCode(text: string, wanted: string): boolean {
	return errorsIn(text)?.some(({ code }) => code === wanted) === true;
}

/** Undefined when it isn't as the specification has it. */
function errorsIn(text: string): readonly { readonly code?: unknown; readonly message?: unknown }[] | undefined {
	try {
		const { errors } = JSON.parse(text) as { readonly errors?: unknown };
		return Array.isArray(errors) ? errors.map(Object) : undefined;
	} catch {
		return undefined;
	}
}
