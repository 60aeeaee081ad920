import { type BootRequest, MOUNTS_PATH, type MountAnswer, type StorageReport } from "@berth/contracts";
import type { LauncherConnection } from "../launcher-connection.js";
import { makeVolume } from "../make-volume.js";
import type { ContainerPlace } from "./container-config.js";

/** Whose files they would be isn't ours to say. */
const MAPS_UIDS: StorageReport = { missing: "the Docker Engine maps user ids by itself (userns-remap, rootless)", binds: [] };

/** Volumes and bind mounts of containers: the launcher mounts them on this host before a container is made, since it can be given nothing later. */
export class DockerStorage {
	readonly report: StorageReport;
	readonly #launcher: LauncherConnection;
	readonly #mounted = new Set<string>();

	/** @param host what the launcher has. @param mapsUids whether the Engine maps user ids by itself */
	constructor(launcher: LauncherConnection, host: StorageReport, mapsUids: boolean) {
		this.#launcher = launcher;
		this.report = mapsUids ? MAPS_UIDS : host;
	}

	/** @param uidBase first id of the sandbox's range. @throws Error naming what isn't there; whoever asked removes what was mounted until then */
	async mount({ sandbox, storage = [] }: BootRequest, uidBase: number): Promise<ContainerPlace["mounts"]> {
		if (storage.length === 0) return [];
		if (this.report === MAPS_UIDS) throw new Error(`${sandbox} can't have storage: ${MAPS_UIDS.missing}`);
		this.#mounted.add(sandbox);
		const { paths } = await this.#launcher.request<MountAnswer>("mount", { sandbox, uidBase, storage });
		return paths.map((source, at) => ({ source, target: `${MOUNTS_PATH}/${storage[at]?.name}` }));
	}

	/** When its container is gone. Idempotent. */
	async unmount(sandbox: string): Promise<void> {
		if (!this.#mounted.has(sandbox)) return;
		await this.#launcher.request("remove", { sandbox });
		this.#mounted.delete(sandbox);
	}

	makeVolume(volume: string, sizeMiB: number): Promise<boolean> {
		return makeVolume(this.#launcher, this.report, volume, sizeMiB);
	}

	async removeVolume(volume: string): Promise<void> {
		await this.#launcher.request("removeVolume", { volume });
	}
}
