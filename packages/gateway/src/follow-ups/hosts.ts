import { HOUR_MS, SECOND_MS } from "@berth/contracts";

/** Posts to one host at the same time, so that one that is slow keeps the others from nothing. */
const MOST_PER_HOST = 8;
/** What hasn't a place is put off for so long at least, and at most. Milliseconds. */
const LEAST_MS = SECOND_MS;
const MOST_MS = HOUR_MS;
/** How long a post takes of which none has ended yet, milliseconds; and what weight the newest has. */
const FIRST_GUESS_MS = SECOND_MS;
const WEIGHT = 1 / 4;
/** Hosts that nothing is sent to are forgotten when there are so many. */
const MOST_KNOWN = 1000;

interface Host {
	sending: number;
	tookMs: number;
	/** When there will be a place behind all that was put off. */
	freeAtMs: number;
}

/** A place at a host, or how long to wait for one. */
export type Place = { readonly leave: (endMs?: number) => void } | { readonly waitMs: number };

/** Who is being posted to. What is put off is put off behind what was before, by how long posts to that host take: so each is about once. */
export class Hosts {
	readonly #hosts = new Map<string, Host>();

	enter(name: string, nowMs = performance.now()): Place {
		const host = this.#hosts.get(name) ?? this.#met(name, nowMs);
		if (host.sending >= MOST_PER_HOST) {
			host.freeAtMs = Math.min(nowMs + MOST_MS, Math.max(nowMs, host.freeAtMs) + host.tookMs / MOST_PER_HOST);
			return { waitMs: Math.max(LEAST_MS, Math.ceil(host.freeAtMs - nowMs)) };
		}
		host.sending++;
		return {
			leave: (endMs = performance.now()) => {
				host.sending--;
				host.tookMs += WEIGHT * (endMs - nowMs - host.tookMs);
			},
		};
	}

	#met(name: string, nowMs: number): Host {
		if (this.#hosts.size >= MOST_KNOWN)
			for (const [known, { sending, freeAtMs }] of this.#hosts) if (sending === 0 && freeAtMs <= nowMs) this.#hosts.delete(known);
		const host = { sending: 0, tookMs: FIRST_GUESS_MS, freeAtMs: 0 };
		this.#hosts.set(name, host);
		return host;
	}
}
