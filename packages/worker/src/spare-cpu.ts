import { SECOND_MS } from "@berth/contracts";
import type { ThreadTimes } from "@berth/telemetry";

const LOOK_MS = SECOND_MS / 5;
/** It goes by most of so many looks. */
const LOOKS = 5;
/** A worker that runs for less of the time has little to do: a CPU for the platform would stand idle. */
const WORKS = 0.05;
/**
 * So many times as long as it runs it waits for a CPU at least, before one is spared, and for as long as one is. Measured on two cores: 0.1 at rest, 0.4
 * with all that clients of two projects can ask for, 0.7 where sandboxes of both compute, 1.3 beside a tenant that does all it can; 0.7 to 1.5 beside that
 * with a CPU spared.
 */
const BEHIND = { first: 1, still: 0.5 } as const;
/** So long it is spared at least, milliseconds. */
const HELD_MS = 10 * SECOND_MS;

export interface SpareCpuOptions {
	/** Of this process's main thread since the last time. */
	readonly times: () => ThreadTimes;
	/** Whether a project uses much of the CPU while another one has lately worked, and used little. */
	readonly contended: () => boolean;
	readonly spare: (isSpared: boolean) => void;
	/** Told when they can't be had to: the CPUs that this host gives us may have changed since they were booted. */
	readonly onTrouble: (message: string, error: unknown) => void;
}

/**
 * Has sandboxes leave one CPU to the stack's own processes while these are behind: by their weight they come first where they run, but while no CPU
 * is ever idle whatever wakes stays where it has been, and they wait behind one another on one while sandboxes compute on another.
 */
export class SpareCpu {
	readonly #options: SpareCpuOptions;
	/** Of the last looks, the newest last. */
	readonly #behind: boolean[] = [];
	readonly #timer = setInterval(() => this.#look(), LOOK_MS).unref();
	#untilMs = Number.NEGATIVE_INFINITY;
	#isSpared = false;

	constructor(options: SpareCpuOptions) {
		this.#options = options;
	}

	get isSpared(): boolean {
		return this.#isSpared;
	}

	close(): void {
		clearInterval(this.#timer);
	}

	#look(): void {
		const { times, contended, spare, onTrouble } = this.#options;
		this.#behind.push(isBehind(times(), this.#isSpared ? BEHIND.still : BEHIND.first) && contended());
		if (this.#behind.length > LOOKS) this.#behind.shift();
		const nowMs = performance.now();
		if (this.#behind.filter(Boolean).length > LOOKS / 2) this.#untilMs = nowMs + HELD_MS;
		const isSpared = nowMs < this.#untilMs;
		if (isSpared === this.#isSpared) return;
		this.#isSpared = isSpared;
		try {
			spare(isSpared);
		} catch (error) {
			onTrouble("sandboxes couldn't be told which CPUs they have; those that are started from now on will be", error);
		}
	}
}

function isBehind({ elapsedMs, ranMs, waitedMs }: ThreadTimes, times: number): boolean {
	return ranMs > WORKS * elapsedMs && waitedMs > times * ranMs;
}
