const streams = () => [process.stdout, process.stderr];

/**
 * Resolves when everything printed so far has left this process: what is still buffered when an
 * invocation is answered would land in the log of the next one. Undefined when there is nothing to wait for.
 */
export function flushOutput(): Promise<unknown> | undefined {
	if (streams().every(({ writableLength }) => writableLength === 0)) return undefined;
	return Promise.all(streams().map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
}
