import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@berth/client";
import { BenchError } from "../bench-error.js";
import { type BenchOptions, HELLO, type OnProgress } from "../options.js";
import type { BenchReport, StartName } from "../report/report.js";
import { type BenchFunction, openFunction } from "./bench-function.js";
import { type Sample, takeSamples } from "./sample.js";
import { SampleSet } from "./sample-set.js";

/** Cold starts of each kind that are thrown away: they teach gateway and worker their way, they don't measure it. */
const REHEARSALS = 2;
/** Warm invocations before those that count: the handler's code is compiled by then. */
const WARM_UPS = 20;
/** Invocations of the neighbour right before a start that comes after a pause. */
const WAKE_UPS = 5;
/** Starts of another kind in a row after which no more are tried: the node is used by others, or has too little room. */
const MOST_MISSES = 5;

type Options = Pick<BenchOptions, "starts" | "warmPerStart" | "idleMs" | "payload" | "signal">;

/**
 * Measures starts of every kind, one at a time. Before each cold one a version is made, the pool is refilled (or emptied,
 * for `boot`), and everything that this sets going has come to rest. Then a neighbour is invoked a few times, so that it
 * is the sandbox that starts cold and not gateway, queue and worker after a rest. Each kind is read from the record; a kind that can't
 * be had has fewer samples than were asked for, and says what came instead.
 */
export async function measureStarts(
	client: Client,
	subject: BenchFunction,
	options: Options,
	progress: OnProgress,
): Promise<NonNullable<BenchReport["starts"]>> {
	const limits = options.signal === undefined ? {} : { signal: options.signal };
	await using neighbour = await openFunction(client, { kind: "source", deploy: HELLO }, limits, "-neighbour");
	const course = new Course(client, subject, neighbour, options);
	for (let i = 0; i < REHEARSALS; i++) {
		await course.coldStart("boot");
		await course.coldStart("prewarmed");
	}
	for (const kind of ["boot", "prewarmed"] as const) {
		for (let misses = 0; course.sets[kind].size < options.starts && misses < MOST_MISSES; ) {
			progress({ stage: `${kind} starts`, done: course.sets[kind].size, total: options.starts });
			const hit = course.sets[kind].add(await course.coldStart(kind));
			misses = hit ? 0 : misses + 1;
			if (kind === "prewarmed" && hit) await course.warmStarts();
		}
	}
	progress({ stage: "starts", done: options.starts, total: options.starts });
	const { boot, prewarmed, warm, frozen } = course.sets;
	return { boot: boot.figures(), prewarmed: prewarmed.figures(), warm: warm.figures(), frozen: frozen.figures(), idleMs: options.idleMs };
}

/** The steps that samples are made of. */
class Course {
	readonly sets: Readonly<Record<StartName, SampleSet>> = {
		boot: new SampleSet("boot"),
		prewarmed: new SampleSet("prewarmed"),
		warm: new SampleSet("warm"),
		frozen: new SampleSet("warm"),
	};
	readonly #client: Client;
	readonly #subject: BenchFunction;
	readonly #neighbour: BenchFunction;
	readonly #options: Options;
	readonly #limits: { readonly signal?: AbortSignal };

	constructor(client: Client, subject: BenchFunction, neighbour: BenchFunction, options: Options) {
		this.#client = client;
		this.#subject = subject;
		this.#neighbour = neighbour;
		this.#options = options;
		this.#limits = options.signal === undefined ? {} : { signal: options.signal };
	}

	/** One invocation of a version that has no sandbox, with the pool full or empty. */
	async coldStart(kind: "boot" | "prewarmed"): Promise<Sample> {
		const version = await this.#subject.renew();
		await this.#client.command({ kind: "evict", function: this.#subject.name }, this.#limits);
		await this.#client.command({ kind: "prewarm", floor: kind === "boot" ? 0 : "default" }, this.#limits);
		const sample = await this.#awake();
		// The record says which version answered: a cold start is one of the version that was just made.
		if (sample.version !== version) throw new BenchError(`version ${sample.version} answered after version ${version} was deployed`);
		return sample;
	}

	/** Warm invocations of the version that was started last: close upon each other, then one after a rest. */
	async warmStarts(): Promise<void> {
		const close = await this.#samples(WARM_UPS + this.#options.warmPerStart);
		for (const sample of close.slice(WARM_UPS)) this.sets.warm.add(sample);
		await pause(this.#options.idleMs, undefined, this.#limits);
		this.sets.frozen.add(await this.#awake());
	}

	/** One invocation after a pause, close upon others of the neighbour. */
	async #awake(): Promise<Sample> {
		for (let i = 0; i < WAKE_UPS; i++) await this.#client.invoke(this.#neighbour.name, { json: {} }, this.#limits);
		return (await this.#samples(1))[0] as Sample;
	}

	#samples(count: number): Promise<readonly Sample[]> {
		return takeSamples(this.#client, this.#subject.name, this.#options.payload, count, this.#limits);
	}
}
