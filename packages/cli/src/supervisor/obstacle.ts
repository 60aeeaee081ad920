import { CommandFailure, EXIT } from "../exit-codes.js";

/** What keeps a stack from being started: two halves of a sentence. */
export interface Obstacle {
	readonly what: string;
	/** What to do about it. */
	readonly mend: string;
}

/** @throws CommandFailure when there is one */
export function requireNone(obstacle: Obstacle | undefined): void {
	if (obstacle !== undefined) throw new CommandFailure(EXIT.failed, `${obstacle.what}: ${obstacle.mend}`);
}
