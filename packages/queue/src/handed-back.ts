/** The worker gave an invocation back that hadn't begun: somebody else runs and settles it. */
export class HandedBackError extends Error {
	override readonly name = "HandedBackError";

	constructor() {
		super("handed back before it began");
	}
}
