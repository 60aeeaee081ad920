import { type BootKey, keyText } from "./boot-key.js";
import type { Sandbox } from "./sandbox.js";

/** Boots for floors that run at the same time. */
const MOST_BOOTS = 2;
/** After a boot that failed: whatever it was, it would happen again at once, milliseconds. */
const RETRY_MS = 1000;

/** What the floors need of their pool. */
export interface FloorsOptions {
	/** Boots and preloads; rejects when it couldn't be had. */
	readonly boot: (key: BootKey) => Promise<Sandbox>;
	/** Retires one that is too many. */
	readonly retire: (sandbox: Sandbox) => void;
	/** Whether nobody waits for a sandbox of their own to boot. */
	readonly mayBoot: () => boolean;
	/** Whether there is memory for one more. */
	readonly hasRoom: () => boolean;
	readonly onTrouble: (error: Error) => void;
}

interface Floor {
	readonly key: BootKey;
	readonly ready: Sandbox[];
	/** How many are kept ready. */
	count: number;
	/** When a floor that was learned is given up; Infinity for those that are configured. */
	untilMs: number;
	booting: number;
}

/** Prewarmed sandboxes per boot key, each kept at its floor: configured ones, and those learned from what is asked for. */
export class Floors {
	readonly #options: FloorsOptions;
	readonly #floors = new Map<string, Floor>();
	#waiters: (() => void)[] = [];
	#closed = false;

	constructor(options: FloorsOptions) {
		this.#options = options;
	}

	/** Keeps so many from now on, until told otherwise. */
	set(key: BootKey, count: number): void {
		const floor = this.#of(key);
		floor.count = count;
		floor.untilMs = Number.POSITIVE_INFINITY;
		for (const extra of floor.ready.splice(count)) this.#options.retire(extra);
	}

	/** Somebody may want one of these: keeps one ready for a while, where none are kept already. */
	expect(key: BootKey, forMs: number): void {
		const floor = this.#of(key);
		if (floor.untilMs === Number.POSITIVE_INFINITY) return;
		floor.count = 1;
		floor.untilMs = performance.now() + forMs;
		this.refill();
	}

	/** Gives up what was learned and isn't asked for any more. */
	expire(): void {
		const nowMs = performance.now();
		for (const [text, floor] of this.#floors) {
			if (floor.untilMs > nowMs) continue;
			for (const sandbox of floor.ready.splice(0)) this.#options.retire(sandbox);
			if (floor.booting === 0) this.#floors.delete(text);
			else floor.count = 0;
		}
	}

	has(key: BootKey): boolean {
		return (this.#floors.get(keyText(key))?.ready.length ?? 0) > 0;
	}

	/** The one that waits longest. */
	take(key: BootKey): Sandbox | undefined {
		return this.#floors.get(keyText(key))?.ready.shift();
	}

	/** Gives up one where most are ready; undefined when there is none. */
	spare(): Sandbox | undefined {
		const [fullest] = [...this.#floors.values()].sort((a, b) => b.ready.length - a.ready.length);
		return fullest?.ready.pop();
	}

	/** Lets go of one that is lost. Idempotent. */
	remove(sandbox: Sandbox): void {
		const ready = this.#floors.get(keyText(sandbox.bootKey))?.ready;
		const at = ready?.indexOf(sandbox) ?? -1;
		if (at >= 0) ready?.splice(at, 1);
	}

	/** How many function sandboxes wait prewarmed. */
	get prewarmed(): number {
		return [...this.#floors.values()].reduce((sum, { key, ready }) => sum + (key.kind === "function" ? ready.length : 0), 0);
	}

	/** Boots what is missing. */
	refill(): void {
		if (this.#closed) return;
		let booting = [...this.#floors.values()].reduce((sum, floor) => sum + floor.booting, 0);
		for (const floor of this.#floors.values()) {
			while (
				floor.ready.length + floor.booting < floor.count &&
				booting < MOST_BOOTS &&
				this.#options.mayBoot() &&
				this.#options.hasRoom()
			) {
				booting++;
				void this.#bootFor(floor);
			}
		}
		this.#tellWaiters();
	}

	/** Resolves when every floor stands, or as much of it as there is room for, and nothing is being booted for one. */
	async reached(): Promise<void> {
		this.refill();
		while (!this.#stand()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
	}

	/** Boots no more. What is ready is for whoever closes to retire. */
	close(): void {
		this.#closed = true;
		this.#tellWaiters();
	}

	async #bootFor(floor: Floor): Promise<void> {
		floor.booting++;
		try {
			const sandbox = await this.#options.boot(floor.key);
			if (floor.ready.length >= floor.count || this.#closed) this.#options.retire(sandbox);
			else floor.ready.push(sandbox);
		} catch (error) {
			if (!this.#closed) {
				this.#options.onTrouble(error as Error);
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
			}
		} finally {
			floor.booting--;
		}
		this.refill();
	}

	#of(key: BootKey): Floor {
		const text = keyText(key);
		let floor = this.#floors.get(text);
		if (floor === undefined) {
			floor = { key, ready: [], count: 0, untilMs: 0, booting: 0 };
			this.#floors.set(text, floor);
		}
		return floor;
	}

	/** Floors that there is no room for stand as they are. */
	#stand(): boolean {
		const floors = [...this.#floors.values()];
		if (this.#closed) return true;
		return floors.every(({ booting, ready, count }) => booting === 0 && (ready.length >= count || !this.#options.hasRoom()));
	}

	#tellWaiters(): void {
		const waiters = this.#waiters;
		this.#waiters = [];
		for (const resolve of waiters) resolve();
	}
}
