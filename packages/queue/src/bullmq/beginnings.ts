import { setTimeout as wait } from "node:timers/promises";
import type { QueueLogger } from "../logger.js";
import type { Unbegun } from "../unbegun.js";

/** What hasn't begun after so long is marked as that, milliseconds: what begins at once costs nothing. Until then it is taken for begun. */
const MARK_AFTER_MS = 100;
/** Between two tries to take a mark of a Redis that doesn't answer, milliseconds. */
const RETRY_MS = 250;

/**
 * fresh: here, and unmarked; marked: so, or about to be; taking: its mark is being taken, to begin it here; ours: it may begin, or has;
 * gone: it isn't begun here, whoever does.
 */
type State = "fresh" | "marked" | "taking" | "ours" | "gone";

/** Whether one invocation that is in hand may begin here. */
export interface Beginning {
	/** Whether it is this worker's to run and to settle; asked before it is begun, and before it is settled. Whoever is refused does neither. */
	readonly begin: () => boolean | Promise<boolean>;
	/** Aborted once it is known not to begin here. */
	readonly gone: AbortSignal;
	/** Resolves when others can know that it hasn't begun. */
	readonly told: () => Promise<void>;
}

class Entry implements Beginning {
	readonly #asked: (entry: Entry) => boolean | Promise<boolean>;
	readonly #gone = new AbortController();
	/** Resolves once it is gone. */
	readonly left = new Promise<undefined>((resolve) => this.#gone.signal.addEventListener("abort", () => resolve(undefined)));
	readonly sinceMs = performance.now();
	readonly job: string;
	readonly id: string;
	readonly token: string;
	state: State = "fresh";
	/** Whether others may have been asked to take it, as all was that hadn't begun. */
	isOthersToo = false;
	marking: Promise<boolean> = Promise.resolve(true);

	constructor(job: string, id: string, token: string, asked: (entry: Entry) => boolean | Promise<boolean>) {
		this.job = job;
		this.id = id;
		this.token = token;
		this.#asked = asked;
	}

	readonly begin = () => (this.state === "ours" ? true : this.state === "gone" ? false : this.#asked(this));

	readonly told = async () => void (await this.marking);

	get gone(): AbortSignal {
		return this.#gone.signal;
	}

	goes(): void {
		this.state = "gone";
		this.#gone.abort();
	}
}

/**
 * The invocations that a worker has taken and not begun. Those that begin at once pass through; others are marked on Redis after a moment, and
 * begin once their mark is taken: so it is known of each, whatever becomes of the worker, whether it may have begun.
 */
export class Beginnings {
	readonly #unbegun: Unbegun;
	readonly #log: QueueLogger;
	readonly #open = new Set<Entry>();
	/** Jobs of which any was marked, and whether all of their marks are taken here. */
	readonly #marked = new Map<string, "ours" | "others'">();
	#timer: NodeJS.Timeout | undefined;

	constructor(unbegun: Unbegun, log: QueueLogger) {
		this.#unbegun = unbegun;
		this.#log = log;
	}

	/** @param token of the job's lock */
	hold(job: string, id: string, token: string): Beginning {
		const entry = new Entry(job, id, token, (one) => this.#begin(one));
		this.#open.add(entry);
		this.#timer ??= setInterval(() => this.#tick(), MARK_AFTER_MS);
		return entry;
	}

	/** What hasn't begun isn't begun here: others may, once this resolves. What is about to begin does, if its mark is had before others have it. */
	async handBack(): Promise<void> {
		const given = [...this.#open].filter(({ state }) => state !== "taking");
		for (const entry of this.#open) entry.isOthersToo = true;
		const marked = this.#mark(given);
		this.#goes(given);
		await marked;
	}

	/** The lock of a job is lost: nothing of it begins here any more. Of what isn't marked nobody can know that it hasn't. */
	lost(job: string): void {
		this.#goes([...this.#open].filter((entry) => entry.job === job));
	}

	/** A job is over. */
	over(job: string): void {
		const marks = this.#marked.get(job);
		this.#marked.delete(job);
		if (marks === "ours") this.#unbegun.forget(job).catch((error: unknown) => this.#log.debug({ error, job }, "marks go by themselves"));
		if (this.#open.size > 0) return;
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	#begin(entry: Entry): boolean | Promise<boolean> {
		if (entry.state === "fresh") {
			this.#open.delete(entry);
			entry.state = "ours";
			return true;
		}
		return this.#take(entry);
	}

	async #take(entry: Entry): Promise<boolean> {
		entry.state = "taking";
		await Promise.race([entry.marking, entry.left]);
		while (!entry.gone.aborted) {
			const { isOthersToo } = entry;
			try {
				const taken = this.#unbegun.take(entry.job, [entry.id], entry.token, isOthersToo ? "other" : "holder");
				const owner = (await Promise.race([taken, entry.left]))?.[0];
				// Unmarked still, Redis has refused the mark, or lost it: nobody else can have taken it, but where it was handed back, and that is what was lost.
				if (owner === undefined ? isOthersToo : owner !== entry.token) this.#goes([entry]);
				break;
			} catch (error) {
				this.#log.debug({ error, invocation: entry.id }, "whether an invocation may begin can't be asked yet");
				await wait(RETRY_MS, undefined, { signal: entry.gone }).catch(() => undefined);
			}
		}
		if (entry.gone.aborted) return false;
		this.#open.delete(entry);
		entry.state = "ours";
		return true;
	}

	#goes(entries: readonly Entry[]): void {
		for (const entry of entries) {
			this.#open.delete(entry);
			if (this.#marked.has(entry.job)) this.#marked.set(entry.job, "others'");
			entry.goes();
		}
	}

	#tick(): void {
		const beforeMs = performance.now() - MARK_AFTER_MS;
		const late = [...this.#open].filter(({ state, sinceMs }) => state === "fresh" && sinceMs < beforeMs);
		for (const entry of late) entry.state = "marked";
		void this.#mark(late);
	}

	async #mark(entries: readonly Entry[]): Promise<void> {
		const byToken = new Map<string, Entry[]>();
		for (const entry of entries) byToken.set(entry.token, [...(byToken.get(entry.token) ?? []), entry]);
		await Promise.all([...byToken].map(([token, those]) => this.#markOf(token, those)));
	}

	/** @param entries of the one job that was taken with this token */
	async #markOf(token: string, entries: readonly Entry[]): Promise<void> {
		const [{ job }] = entries as [Entry];
		if (!this.#marked.has(job)) this.#marked.set(job, "ours");
		const marking = this.#unbegun
			.mark(
				job,
				entries.map(({ id }) => id),
				token,
			)
			.then(
				() => true,
				(error: unknown) => {
					this.#log.warn({ error, job }, "that invocations haven't begun couldn't be written; they are taken for begun");
					return false;
				},
			);
		for (const entry of entries) entry.marking = marking;
		await marking;
	}
}
