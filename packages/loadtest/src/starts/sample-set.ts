import type { StartKind } from "@berth/contracts";
import type { StartFigures } from "../report/report.js";
import { durationsOf, rounded } from "../statistics.js";
import type { Sample } from "./sample.js";

/** Samples of one start kind; those of another are only counted. */
export class SampleSet {
	readonly #kind: StartKind;
	readonly #samples: Sample[] = [];
	readonly #discarded: Partial<Record<StartKind, number>> = {};

	constructor(kind: StartKind) {
		this.#kind = kind;
	}

	get size(): number {
		return this.#samples.length;
	}

	/** @returns whether it was of the kind that is wanted */
	add(sample: Sample): boolean {
		if (sample.start === this.#kind) {
			this.#samples.push(sample);
			return true;
		}
		this.#discarded[sample.start] = (this.#discarded[sample.start] ?? 0) + 1;
		return false;
	}

	figures(): StartFigures {
		const of = (part: (sample: Sample) => number) => durationsOf(this.#samples.map(part));
		const median = (part: (sample: Sample) => number) => of(part).p50Ms;
		return {
			n: this.#samples.length,
			...of(({ totalMs }) => totalMs),
			worker: of(({ phases }) => phases.startMs + phases.initMs + phases.runMs),
			phases: {
				queueMs: median(({ phases }) => phases.queueMs),
				startMs: median(({ phases }) => phases.startMs),
				initMs: median(({ phases }) => phases.initMs),
				runMs: median(({ phases }) => phases.runMs),
			},
			discarded: this.#discarded,
			samplesMs: this.#samples.map(({ totalMs }) => rounded(totalMs)),
		};
	}
}
