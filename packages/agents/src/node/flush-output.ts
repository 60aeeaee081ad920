const streams = () => [process.stdout, process.stderr];

/** As they are before a function's code, or ours, puts something before what is printed. */
const writes = streams().map((stream) => stream.write.bind(stream) as (text: string, written?: () => void) => boolean);

/** Says to whoever reads both streams that what was printed so far is all. */
export function markOutput(mark: string | undefined): void {
	if (mark === undefined) return;
	for (const [index, stream] of streams().entries()) if (stream.writable) writes[index]?.(mark);
}

/**
 * Resolves when everything printed so far has left this process: what is still buffered when an
 * invocation is answered would land in the log of the next one. Undefined when there is nothing to wait for.
 */
export function flushOutput(): Promise<unknown> | undefined {
	if (streams().every(({ writableLength }) => writableLength === 0)) return undefined;
	return Promise.all(writes.map((write) => new Promise<void>((resolve) => write("", resolve))));
}
