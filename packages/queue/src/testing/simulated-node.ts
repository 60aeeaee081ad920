import { FairRing, type Turn } from "../bullmq/fair-ring.js";

/** Functions on a node, by the time of a clock of their own: what each run takes, and what is left to run. */
export class SimulatedNode {
	readonly ring: FairRing;
	readonly usedMs = new Map<string, number>();
	readonly startedAtMs = new Map<string, number[]>();
	nowMs = 0;
	readonly #runMs = new Map<string, () => number>();
	#running: { turn: Turn; key: string; runMs: number; endsAtMs: number }[] = [];

	constructor(slots: number) {
		this.ring = new FairRing(slots, undefined, () => this.nowMs);
	}

	add(key: string, jobs: number, runMs: () => number): void {
		this.#runMs.set(key, runMs);
		this.ring.offer(key, this.ring.waiting(key) + jobs);
	}

	/** Lets time pass. */
	run(untilMs: number): void {
		for (;;) {
			for (let turn = this.ring.next(); turn !== undefined; turn = this.ring.next()) this.#start(turn);
			this.#running.sort((a, b) => a.endsAtMs - b.endsAtMs);
			const next = this.#running[0];
			if (next === undefined || next.endsAtMs > untilMs) break;
			this.#running.shift();
			this.nowMs = next.endsAtMs;
			this.usedMs.set(next.key, (this.usedMs.get(next.key) ?? 0) + next.runMs);
			this.ring.finish(next.turn, next.runMs);
		}
		this.nowMs = untilMs;
	}

	get held(): number {
		return this.#running.length;
	}

	heldBy(key: string): number {
		return this.#running.filter((one) => one.key === key).length;
	}

	#start(turn: Turn): void {
		const runMs = this.#runMs.get(turn.key)?.() ?? 0;
		const started = this.startedAtMs.get(turn.key) ?? [];
		started.push(this.nowMs);
		this.startedAtMs.set(turn.key, started);
		this.#running.push({ turn, key: turn.key, runMs, endsAtMs: this.nowMs + runMs });
	}
}
