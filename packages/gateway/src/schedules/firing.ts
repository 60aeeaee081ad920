import { type InvocationRequest, type ScheduleConfig, type ScheduleFiring, selectorOf } from "@berth/contracts";
import type { Services } from "../services.js";

/** What a schedule's firing is as an invocation. @throws BerthError when there is no version to invoke */
export async function requestOf(
	{ project, config }: { readonly project: string; readonly config: ScheduleConfig },
	{ id, firing, nowMs }: { readonly id: string; readonly firing: Omit<ScheduleFiring, "name">; readonly nowMs: number },
	{ functions }: Services,
): Promise<InvocationRequest> {
	const version = await functions.resolve(project, config.function, selectorOf(config.alias));
	return {
		id,
		project,
		function: version.function,
		version: version.number,
		trigger: { kind: "event", contentType: "application/json", schedule: { name: config.name, ...firing } },
		body: { text: config.payload === undefined ? "" : JSON.stringify(config.payload) },
		acceptedAtMs: nowMs,
		timeoutMs: version.manifest.timeoutMs,
		source: "schedule",
	};
}
