import { BerthError, HOUR_MS, type ImageTransfer, newId, problemOf, type TransferRequest } from "@berth/contracts";

const RUNNING_MOST = 4;
const REMEMBERED_MOST = 100;
const REMEMBERED_MS = HOUR_MS;
/** How long a question waits for news, milliseconds: shorter than a gateway waits for a node. */
const NEWS_WITHIN_MS = 4000;
/** Bytes that are moved between two pieces of news. */
const TOLD_EVERY_BYTES = 1024 * 1024;

/** What a transfer says about itself while it runs. */
export interface Progress {
	/** The image is known: how many blobs of how many bytes. */
	begin(image: Pick<ImageTransfer, "blobs" | "totalBytes"> & Pick<Partial<ImageTransfer>, "digest">): void;
	/** A blob was there already. */
	present(bytes: number): void;
	moved(bytes: number): void;
}

/** How a transfer ended. */
export type Transferred = Pick<ImageTransfer, "digest" | "lacksEnv"> & { readonly version: number };

/** A transfer and whoever waits for news of it. */
interface Remembered {
	transfer: ImageTransfer;
	told: PromiseWithResolvers<void>;
	endedAtMs?: number;
}

/** Pushes and pulls of this node: those that run, and for an hour those that ended. */
export class Transfers {
	readonly #all = new Map<string, Remembered>();
	readonly #onEnd: (transfer: ImageTransfer, error?: unknown) => void;

	constructor(onEnd: (transfer: ImageTransfer, error?: unknown) => void) {
		this.#onEnd = onEnd;
	}

	/** @throws BerthError `too_busy` when four are under way */
	start(request: TransferRequest, work: (progress: Progress) => Promise<Transferred>): ImageTransfer {
		this.#forget();
		if ([...this.#all.values()].filter(({ transfer }) => transfer.state === "running").length >= RUNNING_MOST)
			throw new BerthError("too_busy", `${RUNNING_MOST} images are being moved already; try again when one is done.`);
		const transfer: ImageTransfer = {
			...request,
			id: newId("tr"),
			state: "running",
			revision: 1,
			blobs: 0,
			present: 0,
			totalBytes: 0,
			movedBytes: 0,
		};
		const remembered: Remembered = { transfer, told: Promise.withResolvers() };
		this.#all.set(transfer.id, remembered);
		void this.#run(remembered, work);
		return transfer;
	}

	/** A transfer as it is, once its revision is past `after`, or as it is after 4 s. Undefined when there is none of that id in the project. */
	async get(project: string, id: string, after: number): Promise<ImageTransfer | undefined> {
		const remembered = this.#all.get(id);
		if (remembered === undefined || remembered.transfer.project !== project) return undefined;
		if (remembered.transfer.revision <= after && remembered.transfer.state === "running") {
			let timer: NodeJS.Timeout | undefined;
			const late = new Promise<void>((resolve) => {
				timer = setTimeout(resolve, NEWS_WITHIN_MS);
			});
			await Promise.race([remembered.told.promise, late]);
			clearTimeout(timer);
		}
		return remembered.transfer;
	}

	async #run(remembered: Remembered, work: (progress: Progress) => Promise<Transferred>): Promise<void> {
		let untold = 0;
		const change = (fields: Partial<ImageTransfer>) => this.#change(remembered, fields);
		const progress: Progress = {
			begin: (image) => change(image),
			present: (bytes) => {
				const { present, totalBytes } = remembered.transfer;
				change({ present: present + 1, totalBytes: totalBytes - bytes });
			},
			moved: (bytes) => {
				untold += bytes;
				if (untold < TOLD_EVERY_BYTES) return;
				change({ movedBytes: remembered.transfer.movedBytes + untold });
				untold = 0;
			},
		};
		try {
			const ended = await work(progress);
			const movedBytes = remembered.transfer.movedBytes + untold;
			this.#end(remembered, { state: "done", movedBytes, ...ended });
		} catch (error) {
			const { code, message } = error instanceof BerthError ? error : new BerthError("platform_error", (error as Error).message);
			this.#end(remembered, { state: "failed", problem: problemOf(code, message) }, error);
		}
	}

	#end(remembered: Remembered, fields: Partial<ImageTransfer>, error?: unknown): void {
		remembered.endedAtMs = performance.now();
		this.#change(remembered, fields);
		this.#onEnd(remembered.transfer, error);
	}

	#change(remembered: Remembered, fields: Partial<ImageTransfer>): void {
		remembered.transfer = { ...remembered.transfer, ...fields, revision: remembered.transfer.revision + 1 };
		remembered.told.resolve();
		remembered.told = Promise.withResolvers();
	}

	/** The oldest that ended go; what runs stays. */
	#forget(): void {
		for (const [id, { endedAtMs }] of this.#all) {
			if (endedAtMs === undefined) continue;
			if (this.#all.size >= REMEMBERED_MOST || performance.now() - endedAtMs > REMEMBERED_MS) this.#all.delete(id);
		}
	}
}
