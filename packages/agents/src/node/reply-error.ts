/** The handler's own mistake about what it returned. */
export class ReplyError extends TypeError {
	override readonly name = "ReplyError";
}
