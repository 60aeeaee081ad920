import { BUILD_REQUEST_HEADER, type BuildAnswer, type BuiltFile } from "@berth/contracts/agent";
import type { SourceFile } from "./source-files.js";

/** What a build answers: a head; of a bundle the files of its layer, of anything else the body that goes with it. */
export interface Built {
	readonly answer: Omit<Extract<BuildAnswer, { ok: true }>, "listBytes"> | Exclude<BuildAnswer, { ok: true }>;
	readonly files: readonly SourceFile[];
	readonly body?: Uint8Array;
}

/** An answer as a response: head as JSON in the header; in the body the list of files and then the files, or what else there is. */
export function respond({ answer, files, body = new Uint8Array(0) }: Built): Response {
	const list = Buffer.from(
		JSON.stringify(files.map(({ path, bytes, executable = false }): BuiltFile => [path, bytes.byteLength, executable])),
	);
	const head: BuildAnswer = answer.ok === true ? { ...answer, listBytes: list.length } : answer;
	return new Response(answer.ok === true ? Buffer.concat([list, ...files.map(({ bytes }) => bytes)]) : Buffer.from(body), {
		headers: { [BUILD_REQUEST_HEADER]: headerSafe(JSON.stringify(head)), "content-type": "application/octet-stream" },
	});
}

/** A header's value is Latin-1; JSON has another way to write the rest. */
function headerSafe(json: string): string {
	return json.replace(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
