import type { StartKind } from "@berth/contracts";
import type { FloorName } from "../options.js";
import type { Durations } from "../statistics.js";

/** `frozen`: warm, after the sandbox was left alone for `idleMs`. */
export const STARTS = ["boot", "prewarmed", "warm", "frozen"] as const;
export type StartName = (typeof STARTS)[number];

/** Starts of one kind, measured end to end over HTTP from the request's first byte to the answer's last. */
export interface StartFigures extends Durations {
	/** Samples. Each one's kind was checked against the invocation's record. When there is none, every figure is 0. */
	readonly n: number;
	/** From the worker's claim to the handler's answer: start, init and run of the record. */
	readonly worker: Durations;
	/** Medians of the record's phases, milliseconds. */
	readonly phases: { readonly queueMs: number; readonly startMs: number; readonly initMs: number; readonly runMs: number };
	/** Starts that were of another kind than wanted, and weren't counted. */
	readonly discarded: Readonly<Partial<Record<StartKind, number>>>;
	/** Every sample, in order, milliseconds. */
	readonly samplesMs: readonly number[];
}

/** Invocations under load. */
export interface LoadFigures extends Durations {
	readonly seconds: number;
	/** Answered, whatever the answer. */
	readonly answered: number;
	/** Answers of `succeeded` per second. */
	readonly perSecond: number;
	/** Everything that didn't succeed: by outcome, problem code, or `no_answer`. */
	readonly errors: Readonly<Record<string, number>>;
	/** Points of the latency distribution: share of answers, milliseconds. */
	readonly curve: readonly (readonly [number, number])[];
}

/** A program that is started and ended again and again. */
export interface ProgramFloor extends Durations {
	readonly n: number;
	/** Finished per second with four at a time. */
	readonly perSecond: number;
}

/** Requests or jobs without Berth. */
export interface TransportFloor {
	/** One after the other. */
	readonly p50Ms: number;
	readonly p99Ms: number;
	/** With as many at a time as the closed loop has connections. */
	readonly perSecond: number;
}

export interface Floors {
	/** `node -e 0`, as a process. */
	readonly node?: ProgramFloor;
	/** `node -e 0` in a container: all namespaces, no network. */
	readonly crun?: ProgramFloor;
	readonly runc?: ProgramFloor;
	readonly docker?: ProgramFloor;
	/** An Express server with express.json(), in a process of its own. */
	readonly express?: TransportFloor;
	/** BullMQ from one process to another and back. */
	readonly bullmq?: TransportFloor;
	/** Why a floor that was asked for isn't here. */
	readonly skipped: Readonly<Partial<Record<FloorName, string>>>;
}

/**
 * Every cold start is of a version of its own. `source`: its code is another by a line, so that its layer is new, too;
 * `environment`: it differs by a variable, and shares its code layer with the others.
 */
export type DistinctBy = "source" | "environment";

/** The document of `berth bench --json`. */
export interface BenchReport {
	readonly schema: 1;
	/** When it began, ISO 8601. */
	readonly at: string;
	readonly target: {
		readonly url: string;
		readonly function: string;
		/** How the versions of the cold starts differ. */
		readonly distinctBy: DistinctBy;
		readonly sourceBytes: number;
	};
	/** The machine that measured, not the gateway's if that is another. */
	readonly machine: {
		readonly cpu: string;
		readonly cores: number;
		readonly memoryBytes: number;
		readonly kernel: string;
		readonly node: string;
	};
	readonly starts?: Readonly<Record<StartName, StartFigures>> & { readonly idleMs: number };
	readonly load?: {
		/** One connection that sends when it has its answer: a warm invocation when everything has settled. */
		readonly one: LoadFigures;
		/** As fast as the connections allow: each sends when it has its answer. */
		readonly closed: LoadFigures & { readonly connections: number };
		/** At a fixed rate, each latency counted from when the request was due, sent or not. */
		readonly open: LoadFigures & { readonly ratePerSecond: number };
	};
	readonly floors: Floors;
	/** Ours divided by the floor, by name. */
	readonly ratios: Readonly<Record<string, number>>;
}
