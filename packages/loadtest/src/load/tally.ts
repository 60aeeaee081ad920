import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { LoadFigures } from "../report/report.js";
import { rounded } from "../statistics.js";
import { type Ending, succeeded } from "./load-target.js";

const NS_PER_MS = 1e6;
/** The shares at which a distribution's curve is drawn: dense where the tail is. */
const SHARES = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1];

/** Counts what a load's requests came to. */
export class Tally {
	readonly #histogram: RecordableHistogram = createHistogram({ figures: 3 });
	readonly #errors: Record<string, number> = {};
	#succeeded = 0;

	/** @param latencyMs of an answer; ignored when there was none */
	add(ending: Ending, latencyMs: number): void {
		if (succeeded(ending)) this.#succeeded++;
		else this.#errors[ending] = (this.#errors[ending] ?? 0) + 1;
		if (ending !== "no_answer" && ending !== "not_sent") this.#histogram.record(Math.max(1, Math.round(latencyMs * NS_PER_MS)));
	}

	/** @param seconds that the load lasted */
	figures(seconds: number): LoadFigures {
		const at = (share: number) =>
			this.#histogram.count === 0 ? 0 : rounded(this.#histogram.percentile(Math.max(share * 100, 1e-9)) / NS_PER_MS);
		return {
			seconds: rounded(seconds),
			answered: this.#histogram.count,
			perSecond: Math.round(this.#succeeded / seconds),
			errors: this.#errors,
			p50Ms: at(0.5),
			p90Ms: at(0.9),
			p99Ms: at(0.99),
			maxMs: at(1),
			curve: SHARES.map((share) => [share, at(share)] as const),
		};
	}
}
