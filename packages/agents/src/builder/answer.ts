import { BUILD_REQUEST_HEADER, type BuildAnswer, type BuiltFile } from "@berth/contracts/agent";
import type { Built } from "./build-source.js";

/** A build's outcome as a response: head as JSON in the header, the list of files and then the files in the body. */
export function respond({ answer, files }: Built): Response {
	const list = Buffer.from(JSON.stringify(files.map(({ path, bytes }): BuiltFile => [path, bytes.byteLength])));
	const head: BuildAnswer = answer.ok ? { ...answer, listBytes: list.length } : answer;
	return new Response(answer.ok ? Buffer.concat([list, ...files.map(({ bytes }) => bytes)]) : null, {
		headers: { [BUILD_REQUEST_HEADER]: headerSafe(JSON.stringify(head)), "content-type": "application/octet-stream" },
	});
}

/** A header's value is Latin-1; JSON has another way to write the rest. */
function headerSafe(json: string): string {
	return json.replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
