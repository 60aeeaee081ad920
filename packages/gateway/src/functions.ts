import { BerthError, type Digest, type FunctionDetail, type FunctionList, type SourceKind, type VersionList } from "@berth/contracts";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { flagFrom, nameFrom, numberFrom } from "./names.js";
import type { Services } from "./services.js";
import { hindranceOf } from "./waiting.js";

/** `GET /v1/functions` */
export async function listFunctions(request: Request, response: Response, { functions, invocations }: Services): Promise<void> {
	const { project } = principalOf(request);
	const [found, paused] = await Promise.all([functions.listFunctions(project), invocations.paused(project)]);
	const all = found.map((each) => (paused.has(each.name) ? { ...each, paused: true as const } : each));
	if (all.length === 0) await functions.store.requireKnown();
	if (!flagFrom(request.query["outdated"], "outdated", false)) {
		response.json({ functions: all } satisfies FunctionList);
		return;
	}
	const looked = await Promise.all(all.map(async (each) => ({ ...each, outdated: await functions.rebases.outdated(each) })));
	response.json({ functions: looked.filter(({ outdated }) => outdated.length > 0) } satisfies FunctionList);
}

/** `GET /v1/functions/{name}` */
export async function getFunction(request: Request, response: Response, services: Services): Promise<void> {
	const { functions, invocations } = services;
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const summary = await functions.getFunction(project, name);
	const version = summary && (await functions.getVersion(project, name, summary.live ?? summary.latest));
	if (summary === undefined || version === undefined) throw functionNotFound(name);
	const of = { project, function: name };
	const [backlog, heldUp] = await Promise.all([invocations.backlog(of), invocations.heldUp(of)]);
	const waitsFor = backlog.paused ? undefined : await hindranceOf(version, backlog.waiting > 0 ? heldUp : {}, services);
	const background = waitsFor === undefined ? backlog : { ...backlog, waitsFor };
	response.json({ ...summary, ...(background.paused ? { paused: true } : {}), background, version } satisfies FunctionDetail);
}

/** `DELETE /v1/functions/{name}` */
export async function deleteFunction(request: Request, response: Response, services: Services): Promise<void> {
	const { functions, artifacts, invocations, nodes, log } = services;
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const unused = await functions.deleteFunction(project, name);
	// What it has queued is settled as cancelled when its turn comes, which comes now; also when who deleted it got no further.
	// The upkeep does it again where that fails.
	await invocations
		.forget({ project, function: name })
		.catch((err: unknown) => log.warn({ err, function: name }, "what a deleted function has queued waits for the upkeep"));
	if (unused === undefined) throw functionNotFound(name);
	const isUsed = (digest: Digest) => functions.usesSource(digest);
	await Promise.all([artifacts.functions.remove(project, name), ...unused.map((digest) => artifacts.sources.remove(digest, isUsed))]);
	// Its sandboxes would go by themselves when they are idle; a node that can't be told keeps them so long.
	const evictions = nodes.nodes().map(({ id }) => nodes.ask(id, { kind: "evict", project, function: name }));
	for (const result of await Promise.allSettled(evictions)) {
		if (result.status === "rejected")
			log.warn({ err: result.reason as Error, function: name }, "a node couldn't be told that a function is gone");
	}
	response.status(204).end();
}

/** `GET /v1/functions/{name}/versions` */
export async function listVersions(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ versions: await functions.listVersions(project, nameFrom(request.params["name"])) } satisfies VersionList);
}

/** `GET /v1/functions/{name}/versions/{number}` */
export async function getVersion(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const version = await functions.needVersion(project, name, numberFrom(request.params["number"]));
	response.json(version);
}

/** `DELETE /v1/functions/{name}/versions/{number}` */
export async function removeVersion(request: Request, response: Response, { functions, artifacts }: Services): Promise<void> {
	const { project } = principalOf(request);
	const unused = await functions.removeVersion(project, nameFrom(request.params["name"]), numberFrom(request.params["number"]));
	if (unused !== undefined) await artifacts.sources.remove(unused, (digest) => functions.usesSource(digest));
	response.status(204).end();
}

const SOURCE_TYPES: Readonly<Record<SourceKind, string>> = {
	file: "text/plain; charset=utf-8",
	"tar.gz": "application/gzip",
	image: "application/x-tar",
	"image-reference": "application/json",
	dockerfile: "application/gzip",
	zip: "application/zip",
};

/** `GET /v1/functions/{name}/versions/{number}/source` */
export async function getSource(request: Request, response: Response, { functions, artifacts }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const version = await functions.needVersion(project, name, numberFrom(request.params["number"]));
	// A build that failed takes its source along, unless another version is made of it; an image from a registry has none.
	if (!(await artifacts.sources.has(version.source.digest))) {
		throw new BerthError(
			"not_found",
			`the source of ${name}:${version.number} isn't here: sources of failed builds aren't kept, and not every image in a registry brings one`,
		);
	}
	response.type(SOURCE_TYPES[version.source.kind]).send(await artifacts.sources.get(version.source.digest));
}

/** `GET /v1/functions/{name}/versions/{number}/lockfile` */
export async function getLockfile(request: Request, response: Response, { functions, artifacts }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const { number, build } = await functions.needVersion(project, name, numberFrom(request.params["number"]));
	const layer = build?.lockfile?.layer;
	const lockfile = layer === undefined ? undefined : await artifacts.images.readFile(layer, "package-lock.json");
	if (lockfile === undefined)
		throw new BerthError(
			"not_found",
			`${name}:${number} has no lock file of ours: one is made where a source has dependencies and brings no lock file`,
		);
	response.type("application/json").send(lockfile);
}
