import { DEAD_LETTERS_KEPT, type SettlementKeeper } from "@berth/queue";
import type { ArtifactStore } from "@berth/registry";

/** Bodies of background invocations: `queued` until they are settled, then for replays in `requests`, as long as the record. */
export function settlementKeeper({ queued, requests }: Pick<ArtifactStore, "queued" | "requests">, recordsMs: number): SettlementKeeper {
	return {
		async keep(request, dead) {
			const laterMs = dead ? Math.max(0, DEAD_LETTERS_KEPT.ms - recordsMs) : 0;
			return { ...request, body: await requests.adoptBody(queued, request.body, { laterMs }) };
		},
		over: ({ body }) => queued.removeBody(body),
	};
}
