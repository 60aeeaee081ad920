import { BerthError, HOUR_MS, type ImageTransfer, newId, problemOf, type TransferRequest } from "@berth/contracts";
import type { RunningTransfer, TransferRecords } from "@berth/registry";

const RUNNING_MOST = 4;
/** Starts of one transfer, those included that a worker's end cut short. */
const STARTS_MOST = 6;
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

/** The same of a pull. */
export interface PullProgress extends Progress {
	/** It has taken a number for its version: when that is on record, whoever goes on with it takes no other. */
	took(number: number): Promise<void>;
}

/** How a transfer ended. */
export type Transferred = Pick<ImageTransfer, "digest" | "lacksEnv"> & { readonly version: number };

/** What does a transfer's work. @param number the version's number that it took before it was cut short */
export type Work = (progress: PullProgress, number?: number) => Promise<Transferred>;

/** A transfer and whoever waits for news of it. */
interface Remembered {
	transfer: ImageTransfer;
	readonly starts: number;
	told: PromiseWithResolvers<void>;
	endedAtMs?: number;
}

export interface TransfersOptions {
	readonly node: string;
	readonly records: TransferRecords;
	readonly onEnd: (transfer: ImageTransfer, error?: unknown) => void;
	/** That one ended couldn't be recorded. */
	readonly onUnrecorded: (cause: unknown) => void;
}

/** Pushes and pulls of this node: those that run, and for an hour those that ended. Those that a worker's end cut short are begun again. */
export class Transfers {
	readonly #all = new Map<string, Remembered>();
	readonly #options: TransfersOptions;

	constructor(options: TransfersOptions) {
		this.#options = options;
	}

	/** On record when it resolves. @throws BerthError `too_busy` when four are under way */
	async start(request: TransferRequest, work: Work): Promise<ImageTransfer> {
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
		return await this.#begin({ transfer, starts: 1 }, work);
	}

	/** Begins those again that an earlier worker of this node didn't end. */
	async resume(workOf: (request: TransferRequest) => Work): Promise<void> {
		const { node, records } = this.#options;
		for (const record of await records.unfinished(node)) {
			const starts = record.starts + 1;
			if (starts <= STARTS_MOST) await this.#begin({ ...record, starts }, workOf(record.transfer));
			else await this.#giveUp(record);
		}
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

	async #begin(record: RunningTransfer, work: Work): Promise<ImageTransfer> {
		const { node, records } = this.#options;
		const { transfer, starts, number } = record;
		const remembered: Remembered = { transfer, starts, told: Promise.withResolvers() };
		// Before anything is awaited: it counts among those that run.
		this.#all.set(transfer.id, remembered);
		try {
			await records.running(node, record);
		} catch (error) {
			this.#all.delete(transfer.id);
			throw error;
		}
		void this.#run(remembered, work, number);
		return transfer;
	}

	/** What ends workers isn't tried for ever. */
	async #giveUp({ transfer, starts }: RunningTransfer): Promise<void> {
		const problem = problemOf("platform_error", `${starts} workers began it and none ended it; ask for it again.`);
		const ended: ImageTransfer = { ...transfer, state: "failed", problem };
		await this.#options.records.ended(this.#options.node, ended);
		this.#options.onEnd(ended, new Error(problem.detail));
	}

	async #run(remembered: Remembered, work: Work, number: number | undefined): Promise<void> {
		let untold = 0;
		const change = (fields: Partial<ImageTransfer>) => this.#change(remembered, fields);
		const progress: PullProgress = {
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
			took: (taken) =>
				this.#options.records.running(this.#options.node, {
					transfer: { ...remembered.transfer, blobs: 0, present: 0, totalBytes: 0, movedBytes: 0 },
					starts: remembered.starts,
					number: taken,
				}),
		};
		try {
			const ended = await work(progress, number);
			const movedBytes = remembered.transfer.movedBytes + untold;
			await this.#end(remembered, { state: "done", movedBytes, ...ended });
		} catch (error) {
			const { code, message } = error instanceof BerthError ? error : new BerthError("platform_error", (error as Error).message);
			await this.#end(remembered, { state: "failed", problem: problemOf(code, message) }, error);
		}
	}

	async #end(remembered: Remembered, fields: Partial<ImageTransfer>, error?: unknown): Promise<void> {
		remembered.endedAtMs = performance.now();
		this.#change(remembered, fields);
		this.#options.onEnd(remembered.transfer, error);
		// Where Redis is away the next worker does it once more: a push finds everything there, and a pull its version.
		await this.#options.records.ended(this.#options.node, remembered.transfer).catch((cause: unknown) => this.#options.onUnrecorded(cause));
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
