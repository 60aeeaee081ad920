import { send } from "./raw-http.js";
import type { Stack } from "./stack.js";

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/;

interface Sample {
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly value: number;
}

/** What `/metrics` said once. */
export class Samples {
	readonly contentType: string;
	readonly #samples: readonly Sample[];
	/** Lines that aren't in the text exposition format. */
	readonly unread: readonly string[];

	constructor(contentType: string, text: string) {
		this.contentType = contentType;
		const lines = text.split("\n").filter((line) => line !== "" && !/^# (?:HELP|TYPE|UNIT|EOF)\b/.test(line));
		const read = lines.map((line) => ({ line, sample: sampleIn(line) }));
		this.#samples = read.flatMap(({ sample }) => (sample === undefined ? [] : [sample]));
		this.unread = read.filter(({ sample }) => sample === undefined).map(({ line }) => line);
	}

	has(name: string): boolean {
		return this.#samples.some((sample) => sample.name === name);
	}

	/** The sum of a metric's samples that have these labels; 0 when there is none. */
	sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
		return this.#samples
			.filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
			.reduce((sum, { value }) => sum + value, 0);
	}
}

/** Reads a stack's metrics, with the operator's key. */
export async function scrape(stack: Stack): Promise<Samples> {
	const answer = await send(stack, { path: "/metrics" });
	if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`);
	return new Samples(answer.headers["content-type"] ?? "", answer.body.toString());
}

function sampleIn(line: string): Sample | undefined {
	const match = SAMPLE.exec(line);
	if (match === null) return undefined;
	const [, name = "", labels = "", value = ""] = match;
	const number = value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value);
	if (Number.isNaN(number) && value !== "NaN") return undefined;
	return {
		name,
		labels: Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text])),
		value: number,
	};
}
