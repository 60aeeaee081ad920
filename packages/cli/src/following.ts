import { CommandFailure, EXIT, type ExitCode } from "./exit-codes.js";
import { hearStops } from "./interruption.js";
import type { Session } from "./session.js";

/**
 * Follows until Ctrl-C, by which it is done once it has begun; before that it was interrupted. That it has begun is said on stderr.
 * @param follow until its signal aborts; it says each time that nothing is missed from then on
 */
export async function untilStopped(
	{ terminal }: Session,
	follow: (signal: AbortSignal, onFollowing: () => void) => Promise<void>,
): Promise<ExitCode> {
	const stopping = new AbortController();
	using _ = hearStops(() => stopping.abort());
	let begun = false;
	await follow(stopping.signal, () => {
		terminal.note(begun ? "Following again." : "Following; Ctrl-C ends it.");
		begun = true;
	});
	if (!begun) throw new CommandFailure(EXIT.interrupted, "interrupted before following had begun");
	return EXIT.ok;
}
