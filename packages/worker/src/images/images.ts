import type { ImageTransfer, Recovery, TransferRequest } from "@berth/contracts";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Logger } from "@berth/telemetry";
import { type PullParts, pullImage } from "./pull.js";
import { pushVersion } from "./push.js";
import { recover } from "./recovery.js";
import type { Registries } from "./registries.js";
import { Transfers, type Work } from "./transfers.js";

export interface ImagesOptions {
	readonly artifacts: Pick<ArtifactStore, "functions" | "images" | "keys" | "sources">;
	readonly functions: FunctionRegistry;
	readonly registries: Registries;
	readonly vault: PullParts["vault"];
	readonly warmLayers: PullParts["warmLayers"];
	readonly publish?: PullParts["publish"];
	readonly log: Logger;
	readonly node: string;
}

/** What this node does with images beside building them: to and from registries, and back into the records. */
export class Images {
	readonly #options: ImagesOptions;
	readonly #transfers: Transfers;

	constructor(options: ImagesOptions) {
		this.#options = options;
		const { node, functions, log } = options;
		this.#transfers = new Transfers({
			node,
			records: functions.transfers,
			onEnd: ({ id, kind, reference, state }, err) => {
				if (err === undefined) log.info({ id, reference }, `a ${kind} is ${state}`);
				else log.warn({ err, id, reference }, `a ${kind} failed`);
			},
			onUnrecorded: (err) => log.warn({ err }, "that a transfer ended couldn't be recorded: it is looked at again after the next start"),
		});
	}

	/** @throws BerthError `too_busy` */
	start(request: TransferRequest): Promise<ImageTransfer> {
		return this.#transfers.start(request, this.#workOf(request));
	}

	/** Goes on with what an earlier worker was at. */
	resume(): Promise<void> {
		return this.#transfers.resume((request) => this.#workOf(request));
	}

	transfer(project: string, id: string, after: number): Promise<ImageTransfer | undefined> {
		return this.#transfers.get(project, id, after);
	}

	recover(): Promise<Recovery> {
		const { artifacts, functions, vault } = this.#options;
		return recover(artifacts, functions, vault);
	}

	#workOf(request: TransferRequest): Work {
		if (request.kind === "push") return (progress) => pushVersion(request, this.#options, progress);
		return (progress, number) => pullImage(request, this.#options, progress, number);
	}
}
