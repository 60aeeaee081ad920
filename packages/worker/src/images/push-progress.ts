import { MIB, SECOND_MS } from "@berth/contracts";
import type { Progress } from "./transfers.js";

/** How often somebody who waits for a push is told how far it is. */
const TOLD_MS = 5 * SECOND_MS;
/** With no news for so long it says nothing, and isn't just slow. */
const SILENT_MS = 3 * SECOND_MS;

/** How many blobs a push sends. */
export class Counts implements Progress {
	sentBlobs = 0;
	readonly #closing: AbortSignal;

	/** @param closing ends the push at the next blob, or piece of one */
	constructor(closing: AbortSignal) {
		this.#closing = closing;
	}

	begin({ blobs }: Parameters<Progress["begin"]>[0]): void {
		this.sentBlobs = blobs;
	}

	present(_bytes: number): void {
		this.sentBlobs--;
		this.#closing.throwIfAborted();
	}

	moved(_bytes: number): void {
		this.#closing.throwIfAborted();
	}
}

/** The same for somebody who waits, who is told every 5 s how far it is, or for how long the registry has said nothing. */
export class ToldCounts extends Counts implements Disposable {
	readonly #timer: NodeJS.Timeout;
	#totalBytes = 0;
	#movedBytes = 0;
	#newsAtMs = performance.now();

	/** @param host the registry's */
	constructor(closing: AbortSignal, host: string, say: (text: string) => void) {
		super(closing);
		this.#timer = setInterval(() => {
			const silentMs = performance.now() - this.#newsAtMs;
			say(
				silentMs < SILENT_MS
					? this.#far(host)
					: `${host} has said nothing for ${Math.round(silentMs / SECOND_MS)} s: the image is to be put there`,
			);
		}, TOLD_MS);
	}

	override begin(image: Parameters<Progress["begin"]>[0]): void {
		this.#totalBytes = image.totalBytes;
		super.begin(image);
	}

	override present(bytes: number): void {
		this.#newsAtMs = performance.now();
		this.#totalBytes -= bytes;
		super.present(bytes);
	}

	override moved(bytes: number): void {
		this.#newsAtMs = performance.now();
		this.#movedBytes += bytes;
		super.moved(bytes);
	}

	[Symbol.dispose](): void {
		clearInterval(this.#timer);
	}

	#far(host: string): string {
		const [moved, total] = [this.#movedBytes, this.#totalBytes].map((bytes) => (bytes / MIB).toFixed(1));
		return `${moved} of ${total} MiB of the image were sent to ${host}`;
	}
}
