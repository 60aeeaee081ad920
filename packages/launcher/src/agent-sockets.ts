import { closeSync, constants, openSync, readdirSync, rmSync } from "node:fs";

/** Removes the sockets of a worker that is gone. Their directory is the worker's: it is held by descriptor, so that it leads nowhere else. */
export function removeAgentSockets(directory: string): void {
	const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
	try {
		for (const name of readdirSync(`/proc/self/fd/${fd}`)) rmSync(`/proc/self/fd/${fd}/${name}`, { force: true });
	} finally {
		closeSync(fd);
	}
}
