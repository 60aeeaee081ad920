import { SECOND_MS } from "@berth/contracts";
import type { FollowUp, Outbox } from "@berth/queue";
import type { Services } from "../services.js";
import { sendCallback } from "./callback.js";
import { LeaseLost, startFollower } from "./follower.js";

/** Sent at the same time by one gateway; and to one host, so that one that is slow keeps the others from nothing. */
const MOST_AT_ONCE = 32;
const MOST_PER_HOST = 8;
/** How long what is for a host that has so many is put off, milliseconds. */
const PUT_OFF_MS = SECOND_MS;
/** It is looked again so often when nothing was said: news may get lost. Milliseconds. */
const LOOK_MS = 10 * SECOND_MS;

/**
 * Takes what follows settlements from the outbox, and sends it. Each gateway has one; what one of them took and didn't end, because it died, another
 * one takes when its lease is over.
 */
export class Courier {
	readonly #services: Services;
	readonly #outbox: Outbox;
	readonly #sending = new Set<Promise<void>>();
	readonly #hosts = new Map<string, number>();
	#timer: NodeJS.Timeout | undefined;
	#looking: Promise<void> | undefined;
	#wanted = false;
	#stopped = false;

	constructor(services: Services) {
		this.#services = services;
		this.#outbox = services.outbox;
	}

	start(): void {
		this.#outbox.listen(() => this.#look());
		this.#look();
	}

	/** Takes nothing more, and ends what it sends. */
	async stop(): Promise<void> {
		this.#stopped = true;
		clearTimeout(this.#timer);
		await this.#looking;
		await Promise.all(this.#sending);
	}

	/** Takes what is due, as much as may be sent; asked for meanwhile, it looks once more. */
	#look(): void {
		this.#wanted = true;
		this.#looking ??= this.#takeAll().finally(() => {
			this.#looking = undefined;
		});
	}

	async #takeAll(): Promise<void> {
		clearTimeout(this.#timer);
		let nextMs = LOOK_MS;
		try {
			while (this.#wanted && !this.#stopped) {
				this.#wanted = false;
				const free = MOST_AT_ONCE - this.#sending.size;
				// Whatever ends looks again.
				if (free <= 0) break;
				const claimed = await this.#outbox.claim(free);
				for (const one of claimed.taken) this.#begin(one);
				nextMs = Math.min(LOOK_MS, claimed.nextMs ?? LOOK_MS);
			}
		} catch (err) {
			this.#services.log.warn({ err }, "what follows settlements couldn't be looked for");
		}
		if (!this.#stopped) this.#timer = setTimeout(() => this.#look(), nextMs);
	}

	#begin(one: FollowUp): void {
		const sending = this.#send(one)
			.catch((err: unknown) => {
				if (err instanceof LeaseLost) return;
				this.#services.log.error(
					{ err, invocation: one.id },
					`a ${one.kind} couldn't be gone on with; it is taken again when its lease is over`,
				);
			})
			.finally(() => {
				this.#sending.delete(sending);
				this.#look();
			});
		this.#sending.add(sending);
	}

	async #send(one: FollowUp): Promise<void> {
		const record = await this.#services.invocations.record(one.id);
		if (one.kind === "callback" && record?.callback !== undefined) {
			const { callback } = record;
			await this.#forHost(one, new URL(callback.url).host, async () => {
				const { state, nextMs } = await sendCallback(record, callback, this.#services);
				this.#services.metrics.followedUp(one.kind, state.state);
				await this.#outbox.note(one, state, nextMs);
			});
			return;
		}
		const material = one.kind === "follower" ? await this.#outbox.materialOf(one.id) : undefined;
		if (record?.follower === undefined || material === undefined) {
			this.#services.log.warn({ invocation: one.id }, `the record of a settlement is gone before its ${one.kind} was sent`);
			await this.#outbox.forget(one);
			return;
		}
		const note = (state: typeof record.follower & object) => this.#outbox.note(one, state, "held");
		const { state, nextMs } = await startFollower(record, record.follower, material, this.#services, note);
		this.#services.metrics.followedUp(one.kind, state.state);
		await this.#outbox.note(one, state, nextMs);
	}

	async #forHost(one: FollowUp, host: string, send: () => Promise<void>): Promise<void> {
		const sending = this.#hosts.get(host) ?? 0;
		if (sending >= MOST_PER_HOST) return await this.#outbox.postpone(one, PUT_OFF_MS);
		this.#hosts.set(host, sending + 1);
		try {
			await send();
		} finally {
			const left = (this.#hosts.get(host) ?? 1) - 1;
			if (left === 0) this.#hosts.delete(host);
			else this.#hosts.set(host, left);
		}
	}
}
