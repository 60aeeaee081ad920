import { buildError, type RebaseAnswer, type Version } from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { addBuild, WAIT_MS } from "./deploys.js";
import { flagFrom, nameFrom } from "./names.js";
import { refuseForbidden } from "./permitted.js";
import type { Services } from "./services.js";

/** `POST /v1/functions/{name}/rebase`: versions on the bases of now, of those that aliases lead to. */
export async function rebase(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const isAwaited = flagFrom(request.query["wait"], "wait", false);
	const rebased = await services.functions.rebases.create(project, name, (manifest) => refuseForbidden(manifest, services.permissions));
	for (const version of rebased) await addBuild(version, services);
	const built = isAwaited ? await allBuilt(rebased, services) : rebased;
	const isOver = built.every(({ state }) => state === "ready");
	response.status(isOver ? 200 : 202).json({ rebased: built } satisfies RebaseAnswer);
}

/** As they are when all have ended, or the time is over; without those that were deleted meanwhile. @throws BerthError when one failed */
async function allBuilt(versions: readonly Version[], { functions }: Services): Promise<readonly Version[]> {
	const waited = await Promise.all(versions.map((version) => functions.waitForBuild(version, WAIT_MS)));
	const built = waited.filter((version) => version !== undefined);
	for (const version of built) if (version.failure !== undefined) throw buildError(version, version.failure);
	return built;
}
