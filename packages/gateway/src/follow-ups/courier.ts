import { SECOND_MS } from "@berth/contracts";
import { type FollowUp, type FollowUpKind, Outbox } from "@berth/queue";
import type { Services } from "../services.js";
import { sendCallback } from "./callback.js";
import { LeaseLost, startFollower } from "./follower.js";
import { Hosts } from "./hosts.js";

/** Sent at the same time by one gateway: those that wait for others' servers keep the ones that don't from nothing. */
const MOST_AT_ONCE: Readonly<Record<FollowUpKind, number>> = { callback: 64, follower: 32 };
const KINDS: readonly FollowUpKind[] = ["callback", "follower"];
/** It is looked again so often when nothing was said: news may get lost. Milliseconds. */
const LOOK_MS = 10 * SECOND_MS;
/** What was put off leaves a place, which is looked for so much later. Milliseconds. */
const PACE_MS = 100;
/** What takes longer is left behind: it has to be over before somebody else takes it. Milliseconds. */
const MOST_MS = Outbox.leaseMs - 5 * SECOND_MS;

/**
 * Takes what follows settlements from the outbox, and sends it. Each gateway has one; what one of them took and didn't end, because it died, another
 * one takes when its lease is over.
 */
export class Courier {
	readonly #services: Services;
	readonly #outbox: Outbox;
	readonly #sending = new Map<Promise<void>, FollowUp>();
	readonly #hosts = new Hosts();
	#timer: NodeJS.Timeout | undefined;
	#paced: NodeJS.Timeout | undefined;
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
		clearTimeout(this.#paced);
		await this.#looking;
		await Promise.all(this.#sending.keys());
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
				nextMs = Math.min(LOOK_MS, ...(await Promise.all(KINDS.map((kind) => this.#take(kind)))));
			}
		} catch (err) {
			this.#services.log.warn({ err }, "what follows settlements couldn't be looked for");
		}
		if (!this.#stopped) this.#timer = setTimeout(() => this.#look(), nextMs);
	}

	/** @returns when the next becomes due, milliseconds */
	async #take(kind: FollowUpKind): Promise<number> {
		const held = new Map<string, number>();
		let places = MOST_AT_ONCE[kind];
		for (const { kind: of, project } of this.#sending.values()) {
			if (of !== kind) continue;
			places--;
			held.set(project, (held.get(project) ?? 0) + 1);
		}
		// Whatever ends looks again.
		if (places <= 0) return LOOK_MS;
		const { taken, nextMs = LOOK_MS } = await this.#outbox.claim(kind, places, held);
		for (const one of taken) this.#begin(one);
		return nextMs;
	}

	#begin(one: FollowUp): void {
		const sending = this.#send(one)
			.catch((err: unknown) => {
				if (err instanceof LeaseLost) return "sent";
				this.#services.log.error(
					{ err, invocation: one.id },
					`a ${one.kind} couldn't be gone on with; it is taken again when its lease is over`,
				);
				return "sent";
			})
			.then((what) => {
				this.#sending.delete(sending);
				if (what === "sent") this.#look();
				else if (!this.#stopped) this.#paced ??= setTimeout(() => this.#lookPaced(), PACE_MS);
			});
		this.#sending.set(sending, one);
	}

	#lookPaced(): void {
		this.#paced = undefined;
		this.#look();
	}

	async #send(one: FollowUp): Promise<"sent" | "put off"> {
		const record = await this.#services.invocations.record(one.id);
		if (one.kind === "callback" && record?.callback !== undefined) {
			const { callback } = record;
			const place = this.#hosts.enter(new URL(callback.url).host);
			if ("waitMs" in place) {
				await this.#outbox.postpone(one, place.waitMs);
				return "put off";
			}
			try {
				const { state, nextMs } = await inTime(sendCallback(record, callback, this.#services));
				this.#services.metrics.followedUp(one.kind, state.state);
				await this.#outbox.note(one, state, nextMs);
			} finally {
				place.leave();
			}
			return "sent";
		}
		const material = one.kind === "follower" ? await this.#outbox.materialOf(one.id) : undefined;
		if (record?.follower === undefined || material === undefined) {
			this.#services.log.warn({ invocation: one.id }, `the record of a settlement is gone before its ${one.kind} was sent`);
			await this.#outbox.forget(one);
			return "sent";
		}
		const note = (state: typeof record.follower & object) => this.#outbox.note(one, state, "held");
		const { state, nextMs } = await inTime(startFollower(record, record.follower, material, this.#services, note));
		this.#services.metrics.followedUp(one.kind, state.state);
		await this.#outbox.note(one, state, nextMs);
		return "sent";
	}
}

/** Nothing keeps its place for ever, whatever it waits for. */
async function inTime<T>(step: Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`it wasn't over after ${MOST_MS / SECOND_MS} s`)), MOST_MS);
	});
	try {
		return await Promise.race([step, late]);
	} finally {
		clearTimeout(timer);
	}
}
