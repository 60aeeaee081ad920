import { type BesideDockerReport, LAUNCHER_VERBS, type NetworkReport } from "@berth/contracts";
import { read } from "./requests.js";
import type { Conversation } from "./server.js";
import type { ContainerStorage } from "./storage/container-storage.js";

/** What a launcher beside a Docker Engine does for a worker. @param onTrouble is told of what nobody waits for */
export function dockerVerbs(
	networks: NetworkReport,
	storage: ContainerStorage,
	onTrouble: (message: string, error: unknown) => void,
): Conversation {
	const mounted = new Set<string>();
	return {
		async perform(verb, head) {
			switch (verb) {
				case LAUNCHER_VERBS.host:
					return { networks, storage: storage.report() } satisfies BesideDockerReport;
				case LAUNCHER_VERBS.mount: {
					const { sandbox, uidBase, storage: wanted } = read.mount(head);
					mounted.add(sandbox);
					return { paths: await storage.mount(sandbox, uidBase, wanted) };
				}
				case LAUNCHER_VERBS.remove: {
					const { sandbox } = read.sandbox(head);
					storage.unmount(sandbox);
					mounted.delete(sandbox);
					return {};
				}
				case LAUNCHER_VERBS.makeVolume: {
					const { volume, sizeMiB } = read.makeVolume(head);
					return await storage.makeVolume(volume, sizeMiB);
				}
				case LAUNCHER_VERBS.removeVolume:
					await storage.removeVolume(read.volume(head).volume);
					return {};
				default:
					throw new Error(`${verb} isn't a verb of a launcher beside a Docker Engine`);
			}
		},
		ended() {
			for (const sandbox of mounted) {
				try {
					storage.unmount(sandbox);
				} catch (error) {
					onTrouble(`the mounts of ${sandbox} couldn't be removed`, error);
				}
			}
		},
	};
}
