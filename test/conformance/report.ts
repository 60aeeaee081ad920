/** Says how a check came out, as a line of JSON on standard output: its value, or why it has none. */
export async function report(check: string, work: () => Promise<unknown>): Promise<void> {
	const beganAt = performance.now();
	const said = await work().then(
		(value) => ({ value }),
		(error: Error) => ({ error: error.message }),
	);
	process.stdout.write(`${JSON.stringify({ check, ...said, seconds: Math.round((performance.now() - beganAt) / 1000) })}\n`);
}
