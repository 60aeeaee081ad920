import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { lockShared, tryLockAlone } from "../syscalls.js";

/** Where it says whether this host forwards, and where we keep that it didn't. */
const PLACES = {
	switch: "/proc/sys/net/ipv4/ip_forward",
	/** Gone with the next boot, as what it says is. */
	record: "/run/berth-ip-forward",
} as const;

/**
 * Whether this host forwards between its network devices: on while any stack of this machine needs it, then as it was before. That a
 * stack needs it is a lock of its process, so that one which was killed needs nothing, and none is restored under another.
 */
export class Forwarding {
	readonly #places: Readonly<Record<keyof typeof PLACES, string>>;
	#lock: number | undefined;

	constructor(places: Readonly<Record<keyof typeof PLACES, string>> = PLACES) {
		this.#places = places;
	}

	/** From now on nobody else restores it. */
	need(): void {
		this.#lock ??= this.#open();
		lockShared(this.#lock);
	}

	/** Whether the host forwarded for nobody but stacks of ours. */
	get isForUsAlone(): boolean {
		const { record, switch: path } = this.#places;
		return existsSync(record) || readFileSync(path, "utf8").trim() !== "1";
	}

	/** Has the host forward; that it didn't before is written down for whoever ends last. */
	turnOn(): void {
		if (!this.isForUsAlone) return;
		writeFileSync(this.#places.record, "");
		writeFileSync(this.#places.switch, "1");
	}

	/** As it was before, unless another stack needs it, which restores it then. */
	restore(): void {
		const lock = this.#lock ?? this.#open();
		this.#lock = undefined;
		try {
			if (!tryLockAlone(lock) || !existsSync(this.#places.record)) return;
			writeFileSync(this.#places.switch, "0");
			rmSync(this.#places.record, { force: true });
		} finally {
			closeSync(lock);
		}
	}

	#open(): number {
		return openSync(`${this.#places.record}.lock`, "a", 0o600);
	}
}
