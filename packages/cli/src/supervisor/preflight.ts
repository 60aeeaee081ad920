import type { Settings } from "@berth/config";
import { checkEngine } from "../doctor/engine.js";
import { tryImageRepository } from "./image-repository.js";
import { type Obstacle, requireNone } from "./obstacle.js";
import { placeObstacle } from "./place.js";
import { listenObstacle } from "./port.js";
import { readSupervisorState } from "./state-file.js";

/**
 * Refuses a start that can't succeed before anything is made for it. What an earlier supervisor left may hold the port
 * yet: that is asked once it is gone. @throws CommandFailure
 */
export async function preflight(settings: Settings, say: (text: string) => void): Promise<void> {
	requireNone(await placeObstacle(settings));
	requireNone(await engineObstacle(settings));
	await tryImageRepository(settings, say);
	if ((await readSupervisorState(settings.paths)) === undefined) requireNone(await listenObstacle(settings.host, settings.port));
}

/** What keeps a Docker Engine from being used, as `berth doctor` says it. Of the machine's own OCI runtime the launcher says more. */
async function engineObstacle(settings: Settings): Promise<Obstacle | undefined> {
	if (settings.engine !== "docker") return undefined;
	const { status, found, mend } = await checkEngine(settings);
	return status === "failed" ? { what: found.replace(/\.$/, ""), mend: mend ?? "" } : undefined;
}
