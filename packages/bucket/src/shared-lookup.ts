import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";

type Done = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/**
 * Looks a host up as the system does, once for all who want it meanwhile. Of a process's threads two at most look names up (libuv's), and one that
 * isn't answered holds its thread for as long as the resolver is patient, whoever gave up on it: many would keep everybody else from any name.
 */
export function sharedLookup(): LookupFunction {
	const asking = new Map<string, Done[]>();
	return (host, options, done) => {
		const key = JSON.stringify([host, options.family, options.hints, options.all]);
		const waiting = asking.get(key);
		if (waiting !== undefined) {
			waiting.push(done);
			return;
		}
		const all: Done[] = [done];
		asking.set(key, all);
		lookup(host, options, (...answer: Parameters<Done>) => {
			asking.delete(key);
			for (const each of all) each(...answer);
		});
	};
}
