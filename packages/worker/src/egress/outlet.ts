import type { Socket } from "node:net";
import { EGRESS_ADDRESSES, EGRESS_LIMITS, SECOND_MS } from "@berth/contracts";

import { type Addresses, KnownAddresses } from "./known-addresses.js";

/** What one sandbox has of the world outside: the names that it asked for, its connections, and how much went over them. */
export class Outlet {
	/** By address; who was asked for last is at the end. */
	readonly #names = new Map<string, string>();
	readonly #addresses = new Map<string, string>();
	readonly #open = new Set<Socket>();
	/** What its names lead to outside. */
	readonly known: KnownAddresses;
	#invocation = "";
	#bytes = 0;
	/** Connections that it may open now, as of then. */
	#openings: number = EGRESS_LIMITS.openingsAtOnce;
	#openingsAtMs = 0;

	constructor(look: (host: string) => Promise<Addresses>) {
		this.known = new KnownAddresses(look);
	}

	/** The address that stands for a name in this sandbox. When there is none left, the name that was asked for longest ago loses its own. */
	addressOf(name: string): string {
		const address = this.#addresses.get(name) ?? this.#freeAddress();
		this.#names.delete(address);
		this.#names.set(address, name);
		this.#addresses.set(name, address);
		return address;
	}

	/** The name that an address stands for; the address itself when it stands for none. */
	hostAt(address: string): string {
		return this.#names.get(address) ?? address;
	}

	/** Whether it may have one more. */
	get hasRoom(): boolean {
		return this.#open.size < EGRESS_LIMITS.connections;
	}

	/** Ends with the sandbox. */
	keep(client: Socket): void {
		this.#open.add(client);
		client.once("close", () => this.#open.delete(client));
	}

	/** Whether so many bytes more are within what an invocation may send and be sent. */
	spend(invocation: string, bytes: number): boolean {
		if (invocation !== this.#invocation) this.#bytes = 0;
		this.#invocation = invocation;
		this.#bytes += bytes;
		return this.#bytes <= EGRESS_LIMITS.bytes;
	}

	/** Whether an invocation has spent all that it may already. */
	isSpent(invocation: string): boolean {
		return invocation === this.#invocation && this.#bytes > EGRESS_LIMITS.bytes;
	}

	/** Counts one more that it opens. @returns whether it isn't too soon for it @param nowMs of a clock that doesn't go back */
	opens(nowMs = performance.now()): boolean {
		const { openingsPerSecond, openingsAtOnce } = EGRESS_LIMITS;
		const since = ((nowMs - this.#openingsAtMs) / SECOND_MS) * openingsPerSecond;
		this.#openings = Math.min(openingsAtOnce, this.#openings + since);
		this.#openingsAtMs = nowMs;
		if (this.#openings < 1) return false;
		this.#openings--;
		return true;
	}

	close(): void {
		for (const client of this.#open) client.destroy();
	}

	#freeAddress(): string {
		const { prefix, first, count } = EGRESS_ADDRESSES;
		if (this.#names.size < count) return `${prefix}${first + this.#names.size}`;
		const [[address, name]] = this.#names as unknown as [[string, string]];
		this.#addresses.delete(name);
		return address;
	}
}
