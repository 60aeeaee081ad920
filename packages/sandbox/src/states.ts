import type { SandboxState } from "@berth/contracts";

/**
 * A sandbox's life. `booting` becomes `prewarmed` when nobody waits for it, `specialising` when
 * somebody does, and `busy` when it is a build's; `busy` goes to `warm` by a healthy outcome alone;
 * `retiring` is the end of all.
 */
const NEXT: Readonly<Record<SandboxState, readonly SandboxState[]>> = {
	booting: ["prewarmed", "specialising", "busy", "retiring"],
	prewarmed: ["specialising", "busy", "retiring"],
	specialising: ["busy", "warm", "retiring"],
	busy: ["warm", "retiring"],
	warm: ["busy", "frozen", "retiring"],
	frozen: ["busy", "retiring"],
	retiring: [],
};

/** The state after a move. @throws Error for a move that isn't in the table: a bug of ours */
export function moved(from: SandboxState, to: SandboxState): SandboxState {
	if (!NEXT[from].includes(to)) throw new Error(`a sandbox can't go from ${from} to ${to}`);
	return to;
}
