/** What the command's exit says to a script. */
export const EXIT = {
	ok: 0,
	/** What was asked for failed: a build, an invocation, a check. */
	failed: 1,
	/** The command line is wrong. */
	usage: 2,
	/** No gateway answers, or it doesn't take the key. */
	unreachable: 3,
	/** Ctrl-C or SIGTERM ended it before it was done, as shells count it. What runs until it is stopped is done by it. */
	interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure that is said in one message and needs no stack. */
export class CommandFailure extends Error {
	override readonly name = "CommandFailure";
	readonly exitCode: ExitCode;

	/** @param message what is wrong and what to do, for people */
	constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.exitCode = exitCode;
	}
}
