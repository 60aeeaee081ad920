/** Ends this process, which can't be what it was started for: in one sentence, since there is nothing to find in the code. */
export function endRefused(error: Error): never {
	process.stderr.write(`error: ${error.message}\n`);
	process.exit(1);
}
