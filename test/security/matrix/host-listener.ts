import { once } from "node:events";
import { chmodSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { freshName } from "../../harness/functions.js";
import type { Attacker } from "./attack.js";
import { type Attempts, expectRefused } from "./refused.js";

/** Where something of the host's listens that lets everybody in. */
export interface HostListener {
	/** A socket in /var/tmp. */
	readonly path: string;
	/** On its own loopback. */
	readonly port: number;
}

/**
 * All that it tries is refused, also by a listener of the host's: daemons may be absent here, or shut to all but their users.
 * @param ask what it is to try, given that
 */
export function isRefusedByHost(ask: (attacker: Attacker, listener: HostListener) => object): (attacker: Attacker) => Promise<void> {
	return async (attacker) => {
		const path = `/var/tmp/${freshName("berth-of-the-host")}.sock`;
		const servers = [createServer((socket) => socket.end()), createServer((socket) => socket.end())] as const;
		const [byPath, byPort] = servers;
		try {
			await once(byPath.listen(path), "listening");
			chmodSync(path, 0o666);
			await once(byPort.listen(0, "127.0.0.1"), "listening");
			const { port } = byPort.address() as AddressInfo;
			expectRefused(await attacker.report<Attempts>(ask(attacker, { path, port })));
		} finally {
			for (const server of servers) server.close();
		}
	};
}
