import { DOCKER_ADDRESSES, FUNCTIONS_ADDRESS, SANDBOX_BLOCK, SANDBOX_RESOLVER } from "@berth/contracts";

/**
 * Addresses that sandboxes see come from the block that RFC 2544 keeps for benchmarks: no host on the Internet has
 * one, and hardly anybody's own network.
 */
export const ADDRESSES = {
	/** All of them; no sandbox reaches another by one. */
	block: SANDBOX_BLOCK,
	/** The half that sandboxes have. */
	sandboxes: "198.18.0.0/16",
	/** The half of those that a Docker Engine hands out. */
	docker: DOCKER_ADDRESSES,
	/** What every sandbox's resolv.conf names. */
	resolver: SANDBOX_RESOLVER,
	/** What every name leads to on a network of functions. */
	functions: FUNCTIONS_ADDRESS,
} as const;

/** The other half: where it ends. */
const SANDBOXES = 0x7fff;
/** Below are those that mean something else. */
const FIRST = 256;

/** Addresses for sandboxes, each once: who was given one lately comes last. */
export class SandboxAddresses implements Iterable<Buffer> {
	#last: number;

	/** @param start where it begins, so that two stacks of a machine don't go along together */
	constructor(start: number) {
		this.#last = start % SANDBOXES;
	}

	*[Symbol.iterator](): Generator<Buffer, undefined> {
		for (let tries = 0; tries < SANDBOXES; tries++) {
			this.#last = this.#last >= SANDBOXES - 1 ? FIRST : Math.max(FIRST, this.#last + 1);
			yield Buffer.from([198, 18, this.#last >> 8, this.#last & 0xff]);
		}
	}
}

/** `198.18.1.2` */
export function addressText(address: Buffer): string {
	return address.join(".");
}
