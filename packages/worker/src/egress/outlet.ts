import type { Socket } from "node:net";
import { EGRESS_ADDRESSES, EGRESS_LIMITS } from "@berth/contracts";

/** What one sandbox has of the world outside: the names that it asked for, its connections, and how much went over them. */
export class Outlet {
	/** By address; who was asked for last is at the end. */
	readonly #names = new Map<string, string>();
	readonly #addresses = new Map<string, string>();
	readonly #open = new Set<Socket>();
	#invocation = "";
	#bytes = 0;

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
