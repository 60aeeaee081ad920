import { BerthError, type MakeVolumeAnswer, type StorageReport } from "@berth/contracts";
import type { LauncherConnection } from "./launcher-connection.js";

/** Has the launcher make a volume. @returns whether there was none. @throws BerthError when this node can't, or has it with another size */
export async function makeVolume(
	launcher: LauncherConnection,
	{ missing }: StorageReport,
	volume: string,
	sizeMiB: number,
): Promise<boolean> {
	if (missing !== undefined) throw new BerthError("storage_unavailable", `this node has no volumes: ${missing}`);
	const there = await launcher.request<MakeVolumeAnswer>("makeVolume", { volume, sizeMiB });
	if (there.sizeMiB === sizeMiB) return there.made;
	const message = `the node has this volume already, with ${there.sizeMiB} MiB and what is in it; ask for that size`;
	throw new BerthError("invalid_request", message, { issues: [{ field: "sizeMiB", message }] });
}
