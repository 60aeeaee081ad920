import { BerthError, type SandboxList, type StatsAnswer } from "@berth/contracts";
import type { NodeAnswer, NodeQuestion } from "@berth/queue";
import { projectNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import * as z from "zod";
import { sayAbout } from "./audit.js";
import { type Principal, principalOf, requireScope } from "./auth.js";
import { parseJson } from "./json.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

const COMMAND_BYTES = 4096;
const COMMAND = { code: "invalid_request", whole: "body" } as const;
/** Booting a floor of sandboxes takes its time, milliseconds. */
const COMMAND_MS = 60_000;

const SANDBOX = "an id that GET /v1/sandboxes lists: sb_ and 26 characters";
const FLOOR = "a whole number of sandboxes from 0 to 64, or default";

/** What may be asked of nodes over the API. */
export const nodeCommandSchema = z.strictObject({
	kind: z.enum(["kill", "evict", "prewarm"], "one of: kill, evict, prewarm"),
	sandbox: z
		.string(SANDBOX)
		.regex(/^sb_[0-9a-z]{26}$/, SANDBOX)
		.optional(),
	/** The key's own; any other is as unknown as its functions. */
	project: z.string("the name of a project").optional(),
	function: z.string("the name of a function").optional(),
	floor: z.union([z.int(FLOOR).min(0, FLOOR).max(64, FLOOR), z.literal("default")], FLOOR).optional(),
});

/** `GET /v1/sandboxes`: all of them for the operator, else those that have a function of the project. */
export async function listSandboxes(request: Request, response: Response, services: Services): Promise<void> {
	const { project, ofAll } = principalOf(request);
	const answers = await askAll(services, { kind: "sandboxes" });
	const said = answers.filter((answer) => answer.kind === "sandboxes");
	const isShown = (each: { readonly project?: string }) => ofAll || each.project === project;
	const sandboxes = said.flatMap((answer) => answer.sandboxes.filter(isShown));
	response.json({ sandboxes, failing: said.flatMap((answer) => (answer.failing ?? []).filter(isShown)) } satisfies SandboxList);
}

/** `GET /v1/stats` */
export async function getStats(_request: Request, response: Response, services: Services): Promise<void> {
	const answers = await askAll(services, { kind: "stats" });
	response.json({ nodes: answers.flatMap((answer) => (answer.kind === "stats" ? [answer.stats] : [])) } satisfies StatsAnswer);
}

/** `POST /v1/nodes/commands` */
export async function commandNodes(request: Request, response: Response, services: Services): Promise<void> {
	const principal = principalOf(request);
	const body = validate(nodeCommandSchema, parseJson(await services.bodies.read(request, COMMAND_BYTES), "the body"), COMMAND);
	const { kind, sandbox, function: name, floor } = body;
	sayAbout(request, `${kind} ${sandbox ?? name ?? floor ?? ""}`);
	const answers = await askAll(services, commandOf(body, principal), COMMAND_MS);
	const affected = answers.reduce((sum, answer) => sum + (answer.kind === "done" ? answer.affected : 0), 0);
	response.json({ affected });
}

/** A sandbox of another project is as unknown as one that isn't there. */
function commandOf(body: z.output<typeof nodeCommandSchema>, { project, holder, ofAll }: Principal): NodeQuestion {
	if (body.kind === "kill" && body.sandbox !== undefined) return { kind: "kill", sandbox: body.sandbox, ...(ofAll ? {} : { project }) };
	if (body.project !== undefined && body.project !== project) throw projectNotFound(body.project);
	if (body.kind === "evict" && body.function !== undefined) return { kind: "evict", project, function: body.function };
	if (body.kind === "prewarm" && body.floor !== undefined) {
		requireScope(holder, "operator");
		return { kind: "prewarm", floor: body.floor };
	}
	throw new BerthError("invalid_request", "kill takes sandbox, evict takes function, prewarm takes floor");
}

/** Every node's answer. @throws BerthError unavailable when one doesn't answer */
function askAll({ nodes }: Services, question: NodeQuestion, timeoutMs?: number): Promise<readonly NodeAnswer[]> {
	return Promise.all(nodes.nodes().map(({ id }) => nodes.ask(id, question, timeoutMs)));
}
