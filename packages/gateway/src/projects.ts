import {
	BerthError,
	type Project,
	type ProjectDetail,
	type ProjectList,
	QUOTA_NAMES,
	type QuotaChanges,
	type QuotaName,
	type QuotaUse,
	quotaChangesSchema,
	quotasOf,
} from "@berth/contracts";
import { projectNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { auditedIn, sayAbout } from "./audit.js";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

const CHANGES_BYTES = 4096;
const CHANGES = { code: "invalid_request", whole: "body" } as const;

/** What the operator changes of a project is in its own log, too: that it was the operator, and not with which key, from where, or what for others. */
const OPERATOR = { key: { id: "operator", name: "operator" }, from: "operator" } as const;

/** `GET /v1/projects` */
export async function listProjects(_request: Request, response: Response, { keys }: Services): Promise<void> {
	response.json({ projects: await keys.projects.list() } satisfies ProjectList);
}

/** `GET /v1/projects/{name}`: with a key of the project, or the operator's. */
export async function getProject(request: Request, response: Response, services: Services): Promise<void> {
	const name = nameFrom(request.params["name"]);
	const { holder } = principalOf(request);
	if (holder.project !== undefined && holder.project !== name) throw projectNotFound(name);
	response.json(await detailOf(await services.keys.projects.get(name), services));
}

/** `PUT /v1/projects/{name}` */
export async function makeProject(request: Request, response: Response, { keys }: Services): Promise<void> {
	const name = nameFrom(request.params["name"]);
	response.status((await keys.projects.make(name)) ? 201 : 200).json({ name });
}

/** `PATCH /v1/projects/{name}`: its quotas */
export async function changeProject(request: Request, response: Response, services: Services): Promise<void> {
	const name = nameFrom(request.params["name"]);
	const changes = validate(quotaChangesSchema, parseJson(await services.bodies.read(request, CHANGES_BYTES), "the body"), CHANGES);
	const about = Object.entries(changes)
		.map(([quota, value]) => `${quota} ${value ?? "default"}`)
		.join(", ");
	sayAbout(request, about);
	const project = await services.keys.projects.get(name);
	await requireBound(name, changes, services);
	const change = () => services.functions.quotas.change(name, changes);
	// The log of the project that the operator's request is in has it anyway.
	if (principalOf(request).project === name) await change();
	else await auditedIn(name, { method: request.method, path: request.path, ...OPERATOR }, about, services, change);
	response.json(await detailOf(project, services));
}

/** @throws BerthError invalid_request when a burst is set that nothing would go by */
async function requireBound(project: string, changes: QuotaChanges, { functions: { quotas } }: Services): Promise<void> {
	if (typeof changes.burst !== "number") return;
	const { requestsPerSecond } = quotasOf({ ...(await quotas.own(project)), ...changes }, quotas.defaults);
	if (requestsPerSecond !== undefined) return;
	const message = "it bounds nothing where requestsPerSecond is unlimited: set that, too";
	throw new BerthError("invalid_request", `burst: ${message}`, { issues: [{ field: "burst", message }] });
}

/** `DELETE /v1/projects/{name}` */
export async function removeProject(request: Request, response: Response, { keys }: Services): Promise<void> {
	await keys.projects.remove(nameFrom(request.params["name"]));
	response.status(204).end();
}

async function detailOf(project: Project, services: Services): Promise<ProjectDetail> {
	const { quotas } = services.functions;
	const own = await quotas.own(project.name);
	const limits = quotasOf(own, quotas.defaults);
	const used = await usesOf(project.name, services);
	const useOf = (name: QuotaName): QuotaUse => ({
		limit: limits[name] ?? null,
		own: own[name] !== undefined,
		...(used[name] === undefined ? {} : { used: used[name] }),
	});
	return { ...project, quotas: Object.fromEntries(QUOTA_NAMES.map((name) => [name, useOf(name)])) as ProjectDetail["quotas"] };
}

async function usesOf(project: string, { functions, invocations, slots }: Services): Promise<Partial<Record<QuotaName, number>>> {
	const { quotas } = functions;
	const [held, imageMiB, warmMiB, queued, concurrency] = await Promise.all([
		quotas.functionsOf(project),
		quotas.imageMiBOf(project),
		quotas.warmMiBOf(project),
		invocations.queuedOf(project),
		slots.count(project),
	]);
	return { functions: held, concurrency, imageMiB, warmMiB, queued };
}
