import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Settings } from "@berth/config";

type Paths = Pick<Settings["paths"], "incarnation" | "nodeId">;

/** Which incarnation of this data directory's worker tried to join last; undefined: none that is known. */
export function keptIncarnation({ incarnation }: Paths): string | undefined {
	return existsSync(incarnation) ? readFileSync(incarnation, "utf8").trim() : undefined;
}

/** Also where it was refused: then the lease that is there is known to be somebody else's. Where no id is kept yet it isn't either, so that the next start keeps the old one. */
export function keepIncarnation({ incarnation: file, nodeId }: Paths, incarnation: string): void {
	if (!existsSync(nodeId)) return;
	writeFileSync(`${file}.new`, `${incarnation}\n`, { mode: 0o600 });
	renameSync(`${file}.new`, file);
}
