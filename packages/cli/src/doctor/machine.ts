import { freemem, totalmem } from "node:os";
import type { Settings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { bytesText } from "../render/units.js";
import { listenObstacle } from "../supervisor/port.js";
import { type Check, failed, ok, warning } from "./check.js";

/** Two Redis servers, four processes of ours and a few sandboxes. */
const LEAST_BYTES = 512 * MIB;
const COMFORTABLE_BYTES = 1024 * MIB;

export function checkRoot(isRoot: boolean): Check {
	if (isRoot) return ok("root", "This is root.");
	return failed("root", "This isn't root: mounts and cgroups can't be tried, and the stack can't be started.", "sudo npx berth doctor");
}

/** The machine's memory, and what of it sandboxes may have. */
export function checkMemory(
	{ memoryBudgetBytes }: Pick<Settings, "memoryBudgetBytes">,
	totalBytes = totalmem(),
	freeBytes = freemem(),
): Check {
	const found = `${bytesText(totalBytes)}, ${bytesText(freeBytes)} of it free; sandboxes may hold ${bytesText(memoryBudgetBytes)} together.`;
	if (totalBytes < LEAST_BYTES) return failed("memory", found, `Take a machine with ${bytesText(COMFORTABLE_BYTES)} or more.`);
	if (memoryBudgetBytes > totalBytes) return failed("memory", found, "Set BERTH_MEMORY_MIB to half of what the machine has, or unset it.");
	if (totalBytes < COMFORTABLE_BYTES) return warning("memory", found, `${bytesText(COMFORTABLE_BYTES)} or more leaves room for functions.`);
	return ok("memory", found);
}

/** Whether the gateway's address can be had. Only asked when no stack is up. */
export async function checkPort({ host, port }: Pick<Settings, "host" | "port">): Promise<Check> {
	const obstacle = await listenObstacle(host, port);
	if (obstacle === undefined) return ok("port", `${host}:${port} is free.`);
	return failed("port", `${obstacle.what}.`, `berth up: ${obstacle.mend}.`);
}
