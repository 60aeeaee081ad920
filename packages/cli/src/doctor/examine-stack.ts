import type { Settings } from "@berth/config";
import { allNeededThere, attempt, type Check, failed } from "./check.js";
import type { Examination } from "./examine.js";
import { settingsInUse } from "./running-settings.js";
import { checkStack } from "./stack.js";

/** Whether the stack of this machine is up and takes work, and nothing else: asked again and again by whoever watches over it. */
export async function examineStack(ours: Settings): Promise<Examination> {
	const found = await attempt(async () => {
		const { isUp, checks } = await checkStack((await settingsInUse(ours)).settings);
		return isUp ? checks : [failed("stack", "None is up in this data directory.", "`berth up` starts one.")];
	});
	// One that starts or stops takes nothing now, though it lacks nothing.
	const checks = found.map(
		(check): Check => (check.name === "stack" && check.status === "warning" ? { ...check, status: "failed" } : check),
	);
	return { ok: allNeededThere(checks), checks, enforced: [] };
}
