import type { ImageTransfer } from "@berth/contracts";
import type { Terminal } from "../terminal.js";
import { bytesText } from "./units.js";

/** A line each time another tenth of the bytes has moved, as `docker push` has its bars. */
export class TransferProgress {
	readonly #terminal: Terminal;
	#begun = false;
	#tenths = 0;

	constructor(terminal: Terminal) {
		this.#terminal = terminal;
	}

	show({ kind, reference, blobs, present, totalBytes, movedBytes, state }: ImageTransfer): void {
		if (!this.#begun && blobs > 0) {
			this.#begun = true;
			this.#terminal.note(`${kind === "push" ? "pushing to" : "pulling"} ${reference}: ${blobs} blobs`);
		}
		if (state === "done") {
			this.#terminal.note(`${present} of ${blobs} blobs were there already, ${bytesText(movedBytes)} moved`);
			return;
		}
		const tenths = totalBytes === 0 ? 0 : Math.floor((10 * movedBytes) / totalBytes);
		if (tenths <= this.#tenths || state !== "running") return;
		this.#tenths = tenths;
		this.#terminal.note(`  ${bytesText(movedBytes)} of ${bytesText(totalBytes)}`);
	}
}
