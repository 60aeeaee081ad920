import type { ImageTransfer, Recovery, TransferRequest } from "@berth/contracts";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Logger } from "@berth/telemetry";
import { type PullParts, pullImage } from "./pull.js";
import { pushVersion } from "./push.js";
import { recover } from "./recovery.js";
import type { Registries } from "./registries.js";
import { Transfers } from "./transfers.js";

export interface ImagesOptions {
	readonly artifacts: Pick<ArtifactStore, "functions" | "images" | "keys" | "sources">;
	readonly functions: FunctionRegistry;
	readonly registries: Registries;
	readonly vault: PullParts["vault"];
	readonly warmLayers: PullParts["warmLayers"];
	readonly log: Logger;
}

/** What this node does with images beside building them: to and from registries, and back into the records. */
export class Images {
	readonly #options: ImagesOptions;
	readonly #transfers: Transfers;

	constructor(options: ImagesOptions) {
		this.#options = options;
		this.#transfers = new Transfers(({ id, kind, reference, state }, err) => {
			if (err === undefined) options.log.info({ id, reference }, `a ${kind} is ${state}`);
			else options.log.warn({ err, id, reference }, `a ${kind} failed`);
		});
	}

	/** @throws BerthError `too_busy` */
	start(request: TransferRequest): ImageTransfer {
		const transfer = request.kind === "push" ? pushVersion : pullImage;
		return this.#transfers.start(request, (progress) => transfer(request, this.#options, progress));
	}

	transfer(project: string, id: string, after: number): Promise<ImageTransfer | undefined> {
		return this.#transfers.get(project, id, after);
	}

	recover(): Promise<Recovery> {
		const { artifacts, functions, vault } = this.#options;
		return recover(artifacts, functions, vault);
	}
}
