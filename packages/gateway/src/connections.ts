import type { Server } from "node:http";
import type { Socket } from "node:net";
import { SECOND_MS } from "@berth/contracts";
import { isAllowed, plainAddress } from "./hooks/allow-list.js";

/** How many connections there may be. */
export interface ConnectionBounds {
	/** Together. */
	readonly total: number;
	/** From one address; of IPv6, from one /64. */
	readonly perAddress: number;
	/** Addresses and networks that speak for many: they are held to the bound of all alone. */
	readonly trusted: readonly string[];
}

/** The open connections of a server, and those that are about to be closed, of which nothing more is taken. */
export class Connections {
	readonly #server: Server;
	readonly #bounds: ConnectionBounds | undefined;
	readonly #byAddress = new Map<string, Set<Socket>>();
	readonly #ending = new WeakSet<Socket>();
	#open = 0;
	#madeRoomMs = Number.NEGATIVE_INFINITY;

	constructor(server: Server, bounds: ConnectionBounds | undefined) {
		this.#server = server;
		this.#bounds = bounds;
	}

	/** Counts one that has come. @returns why it can't be served; undefined when it can */
	began(socket: Socket): string | undefined {
		if (this.#bounds === undefined) return undefined;
		const { total, perAddress, trusted } = this.#bounds;
		const address = plainAddress(socket.remoteAddress ?? "");
		const network = networkOf(address);
		const ofAddress = this.#byAddress.get(network) ?? new Set();
		if (this.#open >= total) {
			this.#makeRoom();
			return `${total} connections are open already (BERTH_MAX_CONNECTIONS); try again`;
		}
		if (ofAddress.size >= perAddress && !(trusted.length > 0 && isAllowed(address, trusted)))
			return `${perAddress} connections from ${network} are open already (BERTH_MAX_CONNECTIONS_PER_ADDRESS); a proxy is to be named in BERTH_TRUSTED_PROXIES`;
		this.#open++;
		this.#byAddress.set(network, ofAddress.add(socket));
		socket.once("close", () => this.#ended(network, socket));
		return undefined;
	}

	/** What comes on it from now on isn't taken. */
	end(socket: Socket): void {
		this.#ending.add(socket);
	}

	/** Those that are counted. */
	closeAll(): void {
		for (const sockets of this.#byAddress.values()) for (const socket of sockets) socket.destroy();
	}

	isEnding(socket: Socket): boolean {
		return this.#ending.has(socket);
	}

	#ended(network: string, socket: Socket): void {
		this.#open--;
		const left = this.#byAddress.get(network);
		left?.delete(socket);
		if (left?.size === 0) this.#byAddress.delete(network);
	}

	/** Connections that wait for their next request give way; once a second, as all of them are looked at. */
	#makeRoom(): void {
		const nowMs = performance.now();
		if (nowMs - this.#madeRoomMs < SECOND_MS) return;
		this.#madeRoomMs = nowMs;
		this.#server.closeIdleConnections();
	}
}

/** Whoever has an address of IPv6 has a /64 of them. */
function networkOf(address: string): string {
	if (!address.includes(":")) return address;
	const [head = "", tail] = address.split("%", 1)[0]?.split("::") ?? [];
	const first = head === "" ? [] : head.split(":");
	const last = tail === undefined || tail === "" ? [] : tail.split(":");
	const groups = tail === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill("0"), ...last];
	return `${groups
		.slice(0, 4)
		.map((group) => Number.parseInt(group, 16).toString(16))
		.join(":")}::/64`;
}
