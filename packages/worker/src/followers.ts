import { BerthError, KIB, MINUTE_MS } from "@berth/contracts";

/** What waits to be asked for; what is beyond is dropped, and counted. */
const WAITING_BYTES = 256 * KIB;
/** The most that one answer has. */
const ANSWER_BYTES = 128 * KIB;
/** How long a question waits for something, and how long what comes together is gathered, milliseconds. */
const WAIT_MS = 4000;
const GATHER_MS = 20;
const MOST = 256;
/** Of one project: none takes another one's places. */
const MOST_OF_PROJECT = 64;
/** One that nobody asks for any more goes: longer than a reader may take for what it has. */
const KEPT_MS = MINUTE_MS;

/** What has come since the last time. */
export interface Taken<Item> {
	readonly items: readonly Item[];
	readonly dropped: number;
}

/** Those who watch what happens on this node, by way of gateways that ask for it again and again. */
export class Followers<Filter extends { readonly project: string }, Item> {
	readonly #known = new Map<string, { readonly follower: Follower<Filter, Item>; readonly ends: NodeJS.Timeout }>();
	readonly #isWanted: (filter: Filter, item: Item) => boolean;
	readonly #bytesOf: (item: Item) => number;

	constructor(isWanted: (filter: Filter, item: Item) => boolean, bytesOf: (item: Item) => number) {
		this.#isWanted = isWanted;
		this.#bytesOf = bytesOf;
	}

	/** Whether anybody watches. */
	get any(): boolean {
		return this.#known.size > 0;
	}

	offer(item: Item): void {
		for (const { follower } of this.#known.values()) if (this.#isWanted(follower.filter, item)) follower.offer(item, this.#bytesOf(item));
	}

	/** What has come for it since the last time; undefined when it wasn't known: it is from now on. @throws BerthError too_busy */
	async ask(id: string, filter: Filter): Promise<Taken<Item> | undefined> {
		const known = this.#known.get(id);
		if (known !== undefined) {
			known.ends.refresh();
			return await known.follower.take(this.#bytesOf);
		}
		this.#requirePlace(filter.project);
		const ends = setTimeout(() => this.forget(id), KEPT_MS);
		ends.unref();
		this.#known.set(id, { follower: new Follower(filter), ends });
		return undefined;
	}

	#requirePlace(project: string): void {
		if (this.#known.size >= MOST) throw new BerthError("too_busy", `${MOST} watch this node already: end one, or wait`);
		const own = [...this.#known.values()].filter(({ follower }) => follower.filter.project === project).length;
		if (own >= MOST_OF_PROJECT)
			throw new BerthError("too_busy", `${MOST_OF_PROJECT} of this project watch this node already: end one, or wait`);
	}

	forget(id: string): void {
		const known = this.#known.get(id);
		if (known === undefined) return;
		clearTimeout(known.ends);
		this.#known.delete(id);
		known.follower.end();
	}

	close(): void {
		for (const id of this.#known.keys()) this.forget(id);
	}
}

class Follower<Filter, Item> {
	readonly filter: Filter;
	#waiting: Item[] = [];
	#bytes = 0;
	#dropped = 0;
	#news: (() => void) | undefined;

	constructor(filter: Filter) {
		this.filter = filter;
	}

	offer(item: Item, bytes: number): void {
		if (this.#bytes + bytes > WAITING_BYTES) {
			this.#dropped++;
			return;
		}
		this.#waiting.push(item);
		this.#bytes += bytes;
		this.#news?.();
	}

	/** Waits for something when there is nothing. */
	async take(bytesOf: (item: Item) => number): Promise<Taken<Item>> {
		if (this.#waiting.length === 0) await this.#wait();
		let taken = 0;
		for (let bytes = 0; taken < this.#waiting.length && bytes < ANSWER_BYTES; taken++) bytes += bytesOf(this.#waiting[taken] as Item);
		const items = this.#waiting.splice(0, taken);
		this.#bytes -= items.reduce((sum, item) => sum + bytesOf(item), 0);
		const dropped = this.#waiting.length === 0 ? this.#dropped : 0;
		this.#dropped -= dropped;
		return { items, dropped };
	}

	/** Nobody waits for it any more. */
	end(): void {
		this.#news?.();
	}

	#wait(): Promise<void> {
		return new Promise((resolve) => {
			let timer = setTimeout(resolve, WAIT_MS);
			this.#news = () => {
				this.#news = undefined;
				clearTimeout(timer);
				timer = setTimeout(resolve, GATHER_MS);
			};
		});
	}
}
