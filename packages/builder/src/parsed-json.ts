/** JSON that came out of a build's sandbox; undefined when it isn't any. */
export function parsedJson(body: Uint8Array): unknown {
	try {
		return JSON.parse(Buffer.from(body).toString());
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}
