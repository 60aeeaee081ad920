import { join } from "node:path";
import { BUILD_REQUEST_HEADER, type BuildRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import { type Built, respond } from "./answer.js";
import { buildPython } from "./build-python.js";
import { buildSource } from "./build-source.js";
import { CodeCache } from "./code-cache.js";
import { buildContext } from "./image/build-context.js";
import { buildImage } from "./image/build-image.js";
import { install } from "./install.js";
import { installPython } from "./install-python.js";
import { resolve } from "./resolve.js";
import { runScripts } from "./run-scripts.js";

const codeCache = new CodeCache(join(import.meta.dirname, "code-cache-compiler.cjs"));
const PIP = join(import.meta.dirname, "pip.zip");
const INSTALLER = join(import.meta.dirname, "installer.cjs");

const WARM_REQUEST = {
	step: "source",
	kind: "file",
	filename: "index.ts",
	runtime: "node24",
	external: [],
	registries: [],
	grafted: false,
} as const;
const WARM_SOURCE = Buffer.from('import { join } from "node:path"; export default async (payload: string) => join("/", payload);');

/** Settled when esbuild's service runs and has built something once: the first real build finds everything warm. */
export const ready: Promise<unknown> = buildSource(WARM_REQUEST, WARM_SOURCE, codeCache);

let ask: Ask = () => Promise.reject(new Error("nobody can be asked"));

/** How it asks the worker: the agent says so at boot. */
export function connect(how: Ask): void {
	ask = how;
}

/** The function of a build sandbox: what to do stands in its header, the request's body is what to do it with. */
export default {
	async fetch(request: Request): Promise<Response> {
		const head = request.headers.get(BUILD_REQUEST_HEADER);
		if (head === null) return new Response(`the header ${BUILD_REQUEST_HEADER} is missing`, { status: 400 });
		await ready;
		return respond(await run(JSON.parse(head) as BuildRequest, new Uint8Array(await request.arrayBuffer())));
	},
};

async function run(request: BuildRequest, payload: Uint8Array): Promise<Built> {
	if (request.step === "source" && request.kind === "image") return buildImage(payload, ask);
	if (request.step === "source" && request.kind === "dockerfile") return buildContext(request, payload);
	if (request.step === "source") return buildSource(request, payload, codeCache);
	if (request.step === "resolve") return resolve(request, payload, INSTALLER, ask);
	if (request.step === "scripts") return request.language === "python" ? buildPython(request, payload, PIP, ask) : runScripts(request, ask);
	return request.language === "python" ? installPython(request, payload, PIP, ask) : install(request, payload, INSTALLER, ask);
}
