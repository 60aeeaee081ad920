import { BUILD_REQUEST_HEADER, type BuildAnswer } from "@berth/contracts/agent";

/** What a build answers: a head, and the files of a layer in the order the head gives their sizes. */
export interface Built {
	readonly answer: BuildAnswer;
	readonly files: readonly Uint8Array[];
}

/** An answer as a response: head as JSON in the header, the files one after another in the body. */
export function respond(answer: BuildAnswer, files: readonly Uint8Array[] = []): Response {
	return new Response(Buffer.concat(files), {
		headers: { [BUILD_REQUEST_HEADER]: headerSafe(JSON.stringify(answer)), "content-type": "application/octet-stream" },
	});
}

/** A header's value is Latin-1; JSON has another way to write the rest. */
function headerSafe(json: string): string {
	return json.replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
