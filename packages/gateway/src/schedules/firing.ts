import { type InvocationRequest, type ScheduleConfig, type ScheduleFiring, selectorOf } from "@berth/contracts";
import { type Enqueuing, enqueue } from "../background/enqueue.js";
import type { Services } from "../services.js";

/** Which of a schedule's firings it is. */
export interface Firing extends Required<Pick<Enqueuing, "acceptedAtMs">>, Pick<Enqueuing, "id"> {
	readonly firing: Omit<ScheduleFiring, "name">;
}

/** Makes a schedule's firing an invocation. @throws BerthError when there is no version to invoke, and as `enqueue` */
export async function fireSchedule(
	{ project, config }: { readonly project: string; readonly config: ScheduleConfig },
	{ firing, ...how }: Firing,
	services: Services,
): Promise<InvocationRequest> {
	const version = await services.functions.resolve(project, config.function, selectorOf(config.alias));
	const trigger = { kind: "event", contentType: "application/json", schedule: { name: config.name, ...firing } } as const;
	const text = config.payload === undefined ? "" : JSON.stringify(config.payload);
	return await enqueue(version, { ...how, trigger, body: async () => ({ text }), source: "schedule" }, services);
}
