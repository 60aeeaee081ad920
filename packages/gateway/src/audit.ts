import { AUDIT_KEPT, type AuditList, ERRORS } from "@berth/contracts";
import type { AuditedChange, Ending } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { callerAddress } from "./caller-address.js";
import { asBerthError } from "./problems.js";
import { countFrom, wrongQuery } from "./query.js";
import type { Route } from "./route.js";
import type { Services } from "./services.js";

const LISTED = 100;
const PATH_CHARS = 200;
const ABOUT_CHARS = 200;
const ENTRY_ID = /^\d{1,15}-\d{1,10}$/;
/** Statuses below 500 of requests that were begun. */
const BEGUN: ReadonlySet<number> = new Set([ERRORS.build_failed.status, ERRORS.cancelled.status]);

const subjects = new WeakMap<Request, string>();

/** Says for the audit log what the path of a change doesn't. */
export function sayAbout(request: Request, about: string): void {
	subjects.set(request, about.slice(0, ABOUT_CHARS));
}

/** Whether a route changes what a project is made of, or a node. Invocations have records. */
export function isChange({ method, scope }: Pick<Route, "method" | "scope">): boolean {
	return method !== "get" && (scope === "deploy" || scope === "admin" || scope === "operator");
}

/** Serves a change, which is in the audit log before it is begun, with how it ended before that is answered. @throws BerthError unavailable */
export async function audited(request: Request, response: Response, services: Services, serve: () => Promise<void>): Promise<void> {
	const { project, holder } = principalOf(request);
	const { method, path } = request;
	const { id, name } = holder;
	const from = callerAddress(request);
	const entry = await services.audit.begin(project, { key: { id, name }, from, method, path: path.slice(0, PATH_CHARS) });
	const endOf = (status: number): Ending => {
		const about = subjects.get(request);
		return { of: entry, status, ...(about === undefined ? {} : { about }) };
	};
	const hold = new HeldEnd(response, () => noteEnd(project, endOf(response.statusCode), services));
	await serve();
	if (!hold.hasEnded && response.destroyed) await noteEnd(project, endOf(ERRORS.cancelled.status), services);
}

/** Makes a change that is in the log of another project than the request's, too. What can't be written there of how it ended fails nothing. @throws what `make` does */
export async function auditedIn(
	project: string,
	change: AuditedChange,
	about: string,
	services: Services,
	make: () => Promise<void>,
): Promise<void> {
	const of = await services.audit.begin(project, change);
	let status = 200;
	try {
		await make();
	} catch (error) {
		({ status } = asBerthError(error).entry);
		throw error;
	} finally {
		await noteEnd(project, { of, status, about }, services);
	}
}

/** What was refused wasn't done; what failed on our side may have been. */
async function noteEnd(project: string, ending: Ending, { audit, log }: Services): Promise<void> {
	const { of, status } = ending;
	try {
		if (status >= 400 && status < 500 && !BEGUN.has(status)) await audit.drop(project, of);
		else await audit.end(project, ending);
	} catch (err) {
		log.warn({ err, project, entry: of, status }, "the audit log couldn't be told how a change ended");
	}
}

/** The end of an answer, which waits until something else is done. */
class HeldEnd {
	hasEnded = false;

	constructor(response: Response, before: () => Promise<void>) {
		const end = response.end.bind(response) as (...given: unknown[]) => Response;
		response.end = ((...given: unknown[]) => {
			if (this.hasEnded) return response;
			this.hasEnded = true;
			void before().then(() => end(...given));
			return response;
		}) as typeof response.end;
	}
}

/** `GET /v1/audit` */
export async function listChanges(request: Request, response: Response, { audit }: Services): Promise<void> {
	const { project } = principalOf(request);
	const limit = countFrom(request.query["limit"], "limit", 1, AUDIT_KEPT) ?? LISTED;
	const before = request.query["before"];
	if (before !== undefined && !(typeof before === "string" && ENTRY_ID.test(before)))
		throw wrongQuery("before", "what an answer of this path had as `before`");
	response.json((await audit.list(project, limit, before)) satisfies AuditList);
}
