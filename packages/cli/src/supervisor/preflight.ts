import type { Settings } from "@berth/config";
import { tryImageRepository } from "./image-repository.js";
import { requireNone } from "./obstacle.js";
import { placeObstacle } from "./place.js";
import { listenObstacle } from "./port.js";
import { readSupervisorState } from "./state-file.js";

/**
 * Refuses a start that can't succeed before anything is made for it. What an earlier supervisor left may hold the port
 * yet: that is asked once it is gone. @throws CommandFailure
 */
export async function preflight(settings: Settings, say: (text: string) => void): Promise<void> {
	requireNone(await placeObstacle(settings));
	await tryImageRepository(settings, say);
	if ((await readSupervisorState(settings.paths)) === undefined) requireNone(await listenObstacle(settings.host, settings.port));
}
