import { type ImageTransfer, SECOND_MS } from "@berth/contracts";
import type { Terminal } from "../terminal.js";
import { bytesText } from "./units.js";

/** A line each time another tenth of the bytes has moved, as `docker push` has its bars; or when there is no news of any. */
export class TransferProgress {
	readonly #terminal: Terminal;
	#begun = false;
	#tenths = 0;
	#revision = 0;
	#newsAtMs = 0;

	constructor(terminal: Terminal) {
		this.#terminal = terminal;
	}

	show({ kind, reference, blobs, present, totalBytes, movedBytes, state, revision }: ImageTransfer): void {
		if (!this.#begun && blobs > 0) {
			this.#begun = true;
			this.#terminal.note(`${kind === "push" ? "pushing to" : "pulling"} ${reference}: ${blobs} blobs`);
		}
		if (state === "done") {
			this.#terminal.note(`${present} of ${blobs} blobs were there already, ${bytesText(movedBytes)} moved`);
			return;
		}
		if (revision === this.#revision) this.#showQuiet();
		else this.#newsAtMs = performance.now();
		this.#revision = revision;
		const tenths = totalBytes === 0 ? 0 : Math.floor((10 * movedBytes) / totalBytes);
		if (tenths <= this.#tenths || state !== "running") return;
		this.#tenths = tenths;
		this.#terminal.note(`  ${bytesText(movedBytes)} of ${bytesText(totalBytes)}`);
	}

	/** A node waits 4 s for news before it says that there is none, and tells every MiB. Whether it is the registry that is silent it says at the end. */
	#showQuiet(): void {
		this.#terminal.note(`  less than 1 MiB has moved in ${Math.round((performance.now() - this.#newsAtMs) / SECOND_MS)} s`);
	}
}
