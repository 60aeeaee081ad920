import type { AsyncLocalStorage } from "node:async_hooks";
import type { Invocation } from "./context.js";

/** Is told whose code prints, and gives what to put before it; undefined when it is to be printed as it is. */
type Prefix = (owner: Invocation | undefined) => string | undefined;

/**
 * Marks what code of an invocation prints after that invocation is over: the log that it lands in is
 * another's. Code that writes to the descriptors itself can't be told apart.
 */
export function markLateOutput(invocations: AsyncLocalStorage<Invocation>, prefixOf: Prefix): void {
	for (const stream of [process.stdout, process.stderr]) {
		const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
		stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
			const prefix = prefixOf(invocations.getStore());
			return prefix === undefined ? write(chunk, ...rest) : write(`${prefix}${Buffer.from(chunk as string).toString()}`, ...rest);
		}) as typeof stream.write;
	}
}
