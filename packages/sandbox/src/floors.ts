import { type BootKey, keyText } from "./boot-key.js";
import type { Sandbox } from "./sandbox.js";

/** Boots and preloads for floors that run at the same time. */
const MOST_AT_ONCE = 2;
/** After a boot that failed: whatever it was, it would happen again at once, milliseconds. */
const RETRY_MS = 1000;
/** How long a replacement waits for whoever took the one before: a boot beside a first run takes its CPU, milliseconds. */
const BREATHER_MS = 20;
/** So long a project that had the last one leaves the next last one to others, milliseconds: much longer than a boot. */
const LEFT_TO_OTHERS_MS = 1000;

/** What the floors need of their pool. */
export interface FloorsOptions {
	/** Boots one; rejects when it couldn't be had. */
	readonly boot: (key: BootKey) => Promise<Sandbox>;
	/** Lets one touch what a first invocation would otherwise pay for; what fails at it is retired. */
	readonly preload: (sandbox: Sandbox) => Promise<void>;
	/** Retires one that is too many. */
	readonly retire: (sandbox: Sandbox) => void;
	/** Whether nobody waits for a sandbox of their own to boot. */
	readonly isCalm: () => boolean;
	/** Whether projects share the node, and nobody waits for memory: then a floor that has none gets one, calm or not. */
	readonly isShared: () => boolean;
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
	/** Boots and preloads under way. */
	preparing: number;
	/** Who had the last one, and when. */
	last?: { readonly project: string; readonly atMs: number };
}

/**
 * Prewarmed sandboxes per boot key, each kept at its floor: configured ones, and those learned from
 * what is asked for. First there have to be enough, then they are preloaded: while more are used up
 * than can be booted, a preload would only make everybody wait.
 */
export class Floors {
	readonly #options: FloorsOptions;
	readonly #floors = new Map<string, Floor>();
	#waiters: (() => void)[] = [];
	#breather: NodeJS.Timeout | undefined;
	#hasBooted = false;
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

	/**
	 * Somebody may want one of these: keeps one ready for a while from the next refill on, where none are kept already.
	 * Of those that only one version could use none is: there would be one for each version.
	 */
	expect(key: BootKey, forMs: number): void {
		if (key.own !== undefined) return;
		const floor = this.#of(key);
		if (floor.untilMs === Number.POSITIVE_INFINITY) return;
		floor.count = 1;
		floor.untilMs = performance.now() + forMs;
	}

	/** Gives up what was learned and isn't asked for any more. */
	expire(): void {
		const nowMs = performance.now();
		for (const [text, floor] of this.#floors) {
			if (floor.untilMs > nowMs) continue;
			floor.count = 0;
			for (const sandbox of floor.ready.splice(0)) this.#options.retire(sandbox);
			if (floor.preparing === 0) this.#floors.delete(text);
		}
	}

	has(key: BootKey, project?: string): boolean {
		return this.#openTo(key, project) !== undefined;
	}

	/**
	 * The one that waits longest of those that are preloaded, else of all. Where projects share the node none has the last one twice within a
	 * second, so that one which takes one after another (it crashes again and again, or is never reused) finds none, and others do.
	 */
	take(key: BootKey, project?: string): Sandbox | undefined {
		const floor = this.#openTo(key, project);
		if (floor === undefined) return undefined;
		const { ready } = floor;
		if (ready.length === 1 && project !== undefined) floor.last = { project, atMs: performance.now() };
		const at = ready.findIndex(({ preloaded }) => preloaded);
		return ready.splice(Math.max(0, at), 1)[0];
	}

	/** A floor that has one for this project. */
	#openTo(key: BootKey, project: string | undefined): Floor | undefined {
		const floor = this.#floors.get(keyText(key));
		if (floor === undefined || floor.ready.length === 0) return undefined;
		const { ready, last } = floor;
		const hadLast = last !== undefined && last.project === project && performance.now() - last.atMs < LEFT_TO_OTHERS_MS;
		return ready.length === 1 && hadLast && this.#options.isShared() ? undefined : floor;
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

	/** All that wait. */
	ready(): readonly Sandbox[] {
		return this.#all().flatMap(({ ready }) => ready);
	}

	/** How many function sandboxes wait prewarmed. */
	get prewarmed(): number {
		return this.#all().reduce((sum, { key, ready }) => sum + (key.kind === "function" ? ready.length : 0), 0);
	}

	/** Boots what is missing; when nothing is, preloads what isn't yet. */
	refill(): void {
		let free = MOST_AT_ONCE - this.#all().reduce((sum, { preparing }) => sum + preparing, 0);
		while (!this.#closed && free > 0 && this.#options.isCalm() && this.#prepareOne()) free--;
		while (!this.#closed && free > 0 && this.#options.isShared() && this.#prepareLast()) free--;
		this.#tellWaiters();
	}

	/** The same, when whoever has just taken one is probably answered. */
	refillSoon(): void {
		this.#breather ??= setTimeout(() => {
			this.#breather = undefined;
			this.refill();
		}, BREATHER_MS);
	}

	/** Resolves when one has booted, so that a boot is known to succeed here; or none is wanted, or has room. */
	async first(): Promise<void> {
		this.refill();
		while (!this.#hasBooted && !this.#stand()) await this.#change();
	}

	/** Resolves when every floor stands, or as much of it as there is room for, and nothing is being done for one. */
	async reached(): Promise<void> {
		this.refill();
		while (!this.#stand()) await this.#change();
	}

	/** Boots no more. What is ready is for whoever closes to retire. */
	close(): void {
		this.#closed = true;
		clearTimeout(this.#breather);
		this.#tellWaiters();
	}

	#change(): Promise<void> {
		return new Promise((resolve) => this.#waiters.push(resolve));
	}

	/** One for a floor that has none, whoever else waits for a boot: it is for whoever comes next. */
	#prepareLast(): boolean {
		const empty = this.#all().find((floor) => floor.ready.length === 0 && isShort(floor) && floor.preparing === 0);
		if (empty === undefined || !this.#options.hasRoom()) return false;
		void this.#prepare(empty, () => this.#options.boot(empty.key));
		return true;
	}

	/** @returns whether there was something to do */
	#prepareOne(): boolean {
		const short = this.#all().find(isShort);
		if (short !== undefined) {
			if (!this.#options.hasRoom()) return false;
			void this.#prepare(short, () => this.#options.boot(short.key));
			return true;
		}
		for (const floor of this.#all()) {
			const at = floor.ready.findIndex(({ preloaded }) => !preloaded);
			const sandbox = at < 0 ? undefined : floor.ready.splice(at, 1)[0];
			if (sandbox === undefined) continue;
			void this.#prepare(floor, () => this.#options.preload(sandbox).then(() => sandbox));
			return true;
		}
		return false;
	}

	async #prepare(floor: Floor, work: () => Promise<Sandbox>): Promise<void> {
		floor.preparing++;
		try {
			const sandbox = await work();
			this.#hasBooted = true;
			if (floor.ready.length >= floor.count || this.#closed) this.#options.retire(sandbox);
			else floor.ready.push(sandbox);
		} catch (error) {
			if (!this.#closed) {
				this.#options.onTrouble(error as Error);
				await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
			}
		} finally {
			floor.preparing--;
		}
		this.refill();
	}

	#of(key: BootKey): Floor {
		const text = keyText(key);
		let floor = this.#floors.get(text);
		if (floor === undefined) {
			floor = { key, ready: [], count: 0, untilMs: 0, preparing: 0 };
			this.#floors.set(text, floor);
		}
		return floor;
	}

	#all(): readonly Floor[] {
		return [...this.#floors.values()];
	}

	/** Floors that there is no room for stand as they are. */
	#stand(): boolean {
		if (this.#closed) return true;
		const isFull = ({ ready, count }: Floor) => ready.length >= count && ready.every(({ preloaded }) => preloaded);
		return this.#all().every((floor) => floor.preparing === 0 && (isFull(floor) || !this.#options.hasRoom()));
	}

	#tellWaiters(): void {
		const waiters = this.#waiters;
		this.#waiters = [];
		for (const resolve of waiters) resolve();
	}
}

function isShort({ ready, preparing, count }: Floor): boolean {
	return ready.length + preparing < count;
}
