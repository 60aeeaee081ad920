import { type HostReport, LAUNCHER_VERBS, type RuntimeClassReports } from "@berth/contracts";
import type { Host } from "./host.js";
import { ImportQueue } from "./import-queue.js";
import type { LayerStore } from "./layers.js";
import { read } from "./requests.js";
import type { Sandboxes } from "./sandboxes.js";
import type { Conversation } from "./server.js";
import type { SandboxStorage } from "./storage/sandbox-storage.js";

export interface OciVerbsOptions {
	readonly host: Host;
	readonly runtimeClasses: RuntimeClassReports;
	readonly layers: LayerStore;
	readonly sandboxes: Sandboxes;
	readonly storage: SandboxStorage;
	/** Told of what nobody waits for. */
	readonly onTrouble: (message: string, error: unknown) => void;
}

/** What a launcher that makes sandboxes by itself does for a worker. */
export function ociVerbs({ host, runtimeClasses, layers, sandboxes, storage, onTrouble }: OciVerbsOptions): Conversation {
	const imports = new ImportQueue(layers, onTrouble);
	const booted = new Set<string>();
	return {
		async perform(verb, head, body) {
			switch (verb) {
				case LAUNCHER_VERBS.host: {
					const { cgroups, ociRuntime, ociRuntimeVersion, unenforced } = host;
					return {
						cgroups,
						ociRuntime,
						ociRuntimeVersion,
						runtimeClasses,
						networks: sandboxes.networks(),
						storage: storage.report(),
						unenforced,
					} satisfies HostReport;
				}
				case LAUNCHER_VERBS.hasLayer:
					return { present: await layers.isSound(read.layer(head).digest) };
				case LAUNCHER_VERBS.importLayer:
					await imports.take(read.import(head), body);
					return {};
				case LAUNCHER_VERBS.dropLayers: {
					const { unusedForMs } = read.dropLayers(head);
					return { dropped: await layers.drop(unusedForMs, () => sandboxes.layersInUse()) };
				}
				case LAUNCHER_VERBS.boot: {
					const request = read.boot(head);
					booted.add(request.sandbox);
					return await sandboxes.boot(request);
				}
				case LAUNCHER_VERBS.specialise:
					return await sandboxes.specialise(read.specialise(head));
				case LAUNCHER_VERBS.kill:
					await sandboxes.kill(read.sandbox(head).sandbox);
					return {};
				case LAUNCHER_VERBS.remove:
					await sandboxes.remove(read.sandbox(head).sandbox);
					booted.delete(read.sandbox(head).sandbox);
					return {};
				case LAUNCHER_VERBS.makeVolume: {
					const { volume, sizeMiB } = read.makeVolume(head);
					return await storage.makeVolume(volume, sizeMiB);
				}
				case LAUNCHER_VERBS.removeVolume:
					await sandboxes.removeVolume(read.volume(head).volume);
					return {};
				default:
					throw new Error(`${verb} isn't a verb`);
			}
		},
		ended() {
			void imports.abort();
			// Whoever booted them is gone: nobody will ever ask for them again.
			for (const id of booted) sandboxes.remove(id).catch((error: unknown) => onTrouble(`${id} couldn't be removed`, error));
		},
	};
}
