/** What ends the connection of a client that doesn't take its answer. */
export class StalledError extends Error {
	constructor() {
		super("the client doesn't take its answer");
	}
}
