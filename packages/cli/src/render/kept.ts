import type { Manifest, SandboxInfo } from "@berth/contracts";
import { ageText } from "./units.js";

/** Why a sandbox is there that nobody uses, and in how long it goes if nobody comes. */
export function keptText({ kept }: Pick<SandboxInfo, "kept">): string {
	if (kept === undefined) return "-";
	return kept.freeInMs === undefined ? kept.why : `${kept.why} ${ageText(kept.freeInMs)}`;
}

/** How many sandboxes a version has ready: `1 always, 4 from "0 8 * * MON-FRI" (Europe/Berlin) on for 10h; 100 at most`. */
export function readyText({ pool = {}, concurrency }: Pick<Manifest, "pool" | "concurrency">): string {
	const { min = 0, windows = [] } = pool;
	const some = windows.map((each) => `${each.min} from "${each.cron}" (${each.timeZone ?? "UTC"}) on for ${ageText(each.forMs)}`);
	return `${[`${min} always`, ...some].join(", ")}; ${concurrency} at most`;
}

/** What a version's sandboxes are doing on all nodes: `2 busy, 1 frozen (minimum)`; empty without any. */
export function sandboxesText(sandboxes: readonly SandboxInfo[]): string {
	const counts = new Map<string, number>();
	for (const each of sandboxes) {
		const what = each.kept === undefined ? each.state : `${each.state} (${keptText(each)})`;
		counts.set(what, (counts.get(what) ?? 0) + 1);
	}
	return [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}
