/** The host lacks something without which a limit couldn't be enforced: we don't start. */
export class HostError extends Error {
	override readonly name = "HostError";
}
