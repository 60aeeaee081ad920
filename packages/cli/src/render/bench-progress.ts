import type { OnProgress } from "@berth/loadtest";
import type { Terminal } from "../terminal.js";

/** Shows how far a bench is on stderr: one line that is drawn again on a terminal, else a line for each stage. */
export function benchProgress(terminal: Terminal): OnProgress {
	let last: string | undefined;
	return ({ stage, done, total }) => {
		if (!terminal.status(`${stage} … ${done}/${total}`) && stage !== last) terminal.note(stage);
		last = stage;
	};
}
