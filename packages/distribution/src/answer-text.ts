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
	try {
		const { errors } = JSON.parse(text) as { errors: readonly { code?: unknown; message?: unknown }[] };
		return cleaned(errors.map(({ code, message }) => `${String(code)}: ${String(message)}`).join("; "));
	} catch {
		return cleaned(text);
	}
}
