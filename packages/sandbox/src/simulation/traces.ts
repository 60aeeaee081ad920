import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "@berth/contracts";

/** When one function is invoked, milliseconds from the trace's beginning, in order. */
export type Arrivals = readonly number[];

/** Chance from a seed (mulberry32). */
export function chanceOf(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/**
 * How often functions are invoked, as Shahrad et al. (USENIX ATC 2020) found it at Azure Functions: 45 % of applications once an hour or less on
 * average, 81 % once a minute or less, over eight orders of magnitude. The log-normal distribution through these two points has this mean and
 * deviation (of the logarithm of invocations a day), and nineteen twentieths of it are seven orders of magnitude.
 */
const RATE = { mean: 3.69, deviation: 4.08 } as const;
/** What comes more often is hardly ever cold, whatever the policy: as if it were so often, invocations a day. */
const MOST_A_DAY = DAY_MS / MINUTE_MS;
/** What comes more seldom is cold each time. */
const LEAST_A_DAY = 0.1;

/**
 * What times between invocations are like (the same paper): the coefficient of variation is near 0 for a fifth of applications (most of
 * them timers, which are 16 % of functions), above 1 for two fifths (bursts among them), and between the two for the rest.
 */
const KINDS = [
	{ kind: "timer", share: 0.2 },
	{ kind: "regular", share: 0.4 },
	{ kind: "irregular", share: 0.2 },
	{ kind: "bursts", share: 0.2 },
] as const;
type Kind = (typeof KINDS)[number]["kind"];

/** What people give timers. */
const PERIODS_MS = [1, 5, 10, 15, 30, 60, 120, 240, 720, 1440].map((minutes) => minutes * MINUTE_MS);

/** Invocations of so many functions over so long; the same for the same seed. */
export function makeTraces(seed: number, functions: number, lengthMs: number): readonly Arrivals[] {
	const chance = chanceOf(seed);
	return Array.from({ length: functions }, () => {
		const aDay = Math.min(MOST_A_DAY, Math.max(LEAST_A_DAY, Math.exp(RATE.mean + RATE.deviation * normal(chance))));
		return arrivalsOf(kindBy(chance()), DAY_MS / aDay, lengthMs, chance);
	});
}

function kindBy(chance: number): Kind {
	let left = chance;
	for (const { kind, share } of KINDS) {
		left -= share;
		if (left < 0) return kind;
	}
	return "bursts";
}

function arrivalsOf(kind: Kind, meanMs: number, lengthMs: number, chance: () => number): Arrivals {
	if (kind === "timer") return timer(meanMs, lengthMs, chance);
	if (kind === "bursts") return bursts(meanMs, lengthMs, chance);
	// Of a log-normal distribution the square of the coefficient of variation is e^(s²) - 1: 0.1 to 1, and 1 to 5.
	const variation = kind === "regular" ? 0.1 + 0.9 * chance() : 1 + 4 * chance();
	return renewals(lengthMs, () => logNormal(meanMs, variation, chance), meanMs * chance());
}

/** At the period that is nearest to what it would be by its rate, with up to two seconds of delay. */
function timer(meanMs: number, lengthMs: number, chance: () => number): Arrivals {
	const distance = (periodMs: number) => Math.abs(Math.log(periodMs / meanMs));
	const periodMs = PERIODS_MS.reduce((nearest, each) => (distance(each) < distance(nearest) ? each : nearest));
	const first = periodMs * chance();
	const count = Math.max(0, Math.ceil((lengthMs - first) / periodMs));
	return Array.from({ length: count }, (_, at) => first + at * periodMs + chance() * 2 * SECOND_MS);
}

/** Ten in a row on average, seconds apart; from burst to burst as chance has it. */
function bursts(meanMs: number, lengthMs: number, chance: () => number): Arrivals {
	const mostOf = 10;
	return renewals(
		lengthMs,
		() => (chance() < 1 / mostOf ? exponential(Math.min(mostOf * meanMs, 30 * 24 * HOUR_MS), chance) : exponential(5 * SECOND_MS, chance)),
		meanMs * chance(),
	);
}

function renewals(lengthMs: number, gapMs: () => number, firstMs: number): Arrivals {
	const arrivals: number[] = [];
	for (let at = firstMs; at < lengthMs; at += gapMs()) arrivals.push(at);
	return arrivals;
}

function logNormal(mean: number, variation: number, chance: () => number): number {
	const square = Math.log(1 + variation ** 2);
	return mean * Math.exp(Math.sqrt(square) * normal(chance) - square / 2);
}

function exponential(mean: number, chance: () => number): number {
	return -mean * Math.log(1 - chance());
}

/** Box and Muller's. */
function normal(chance: () => number): number {
	return Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance());
}
