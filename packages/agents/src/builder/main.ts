import { join } from "node:path";
import { BUILD_REQUEST_HEADER, type BuildRequest } from "@berth/contracts/agent";
import { respond } from "./answer.js";
import { buildSource } from "./build-source.js";
import { CodeCache } from "./code-cache.js";

const codeCache = new CodeCache(join(import.meta.dirname, "code-cache-compiler.cjs"));

const WARM_SOURCE = Buffer.from('import { join } from "node:path"; export default async (payload: string) => join("/", payload);');

/** Settled when esbuild's service runs and has built something once: the first real build finds everything warm. */
export const ready: Promise<unknown> = buildSource({ kind: "file", filename: "index.ts", runtime: "node24" }, WARM_SOURCE, codeCache);

/** The function of a build sandbox: the source is the request's body, what to do with it stands in its header. */
export default {
	async fetch(request: Request): Promise<Response> {
		const head = request.headers.get(BUILD_REQUEST_HEADER);
		if (head === null) return new Response(`the header ${BUILD_REQUEST_HEADER} is missing`, { status: 400 });
		await ready;
		const built = await buildSource(JSON.parse(head) as BuildRequest, new Uint8Array(await request.arrayBuffer()), codeCache);
		return respond(built);
	},
};
