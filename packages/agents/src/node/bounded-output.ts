import { FIXED_LIMITS } from "@berth/contracts/agent";

/**
 * Drops what is printed while as much as a log may have waits to be read: it would be cut there, and what waits is memory of the function's, which
 * prints faster than is read. What an earlier invocation printed isn't among it: it was waited for (flush-output.ts).
 */
export function boundOutput(): void {
	for (const stream of [process.stdout, process.stderr]) {
		const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
		stream.write = ((...args: unknown[]) => {
			if (stream.writableLength <= FIXED_LIMITS.logBytes) return write(...args);
			const done = args.at(-1);
			if (typeof done === "function") process.nextTick(done as () => void);
			return false;
		}) as typeof stream.write;
	}
}
