/** A step of the set-up that can't go on: said to a person without a stack. */
export class SetupFailure extends Error {
	/**
	 * @param {string} message what is wrong
	 * @param {string} advice what to do about it
	 * @param {readonly string[]} [output] the last lines of the program that failed
	 */
	constructor(message, advice, output = []) {
		super(message);
		this.advice = advice;
		this.output = output;
	}
}
