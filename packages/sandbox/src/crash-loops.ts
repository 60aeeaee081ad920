import { BerthError, type CrashLoop, MINUTE_MS, SECOND_MS } from "@berth/contracts";
import type { Specialisation, VersionNames } from "./version-target.js";

/** How long nothing is started after the crash that is one too many; twice as long after each that follows, milliseconds. */
const FIRST_MS = SECOND_MS;
const MOST_MS = MINUTE_MS;
/** Who comes while the one try runs asks again then, milliseconds. */
const TRYING_MS = SECOND_MS;
/** A version of which nobody asked for so long begins anew, milliseconds. */
const FORGOTTEN_MS = 10 * MINUTE_MS;
/** What its process says at its end may be as long as the tenant likes, characters. */
const ERROR_LENGTH = 300;

type Target = Pick<Specialisation, "key" | keyof VersionNames>;

/** Told of each crash of a version that is backed off, and with undefined when it has answered. */
export type CrashLoopChanged = (of: VersionNames, crashLoop: CrashLoop | undefined) => void;

/** How a sandbox ended before it answered. */
export type Crash = Pick<CrashLoop, "outcome" | "error" | "invocation">;

interface Crashed extends Crash {
	readonly of: VersionNames;
	readonly crashes: number;
	/** When the next sandbox may be started, and when the last one ended, by the monotonic clock. */
	readonly untilMs: number;
	readonly atMs: number;
}

/**
 * Versions whose sandboxes end one after another before they answer, be it while the function is loaded or while it runs. Each costs a start,
 * at everybody's expense: after `allowed` in a row nothing is started for such a version for a while, then one at a time. An answer ends that. What has
 * served before, and rests warm, goes on serving.
 */
export class CrashLoops {
	readonly #allowed: number;
	readonly #changed: CrashLoopChanged;
	readonly #crashed = new Map<string, Crashed>();

	/** @param allowed crashes in a row without consequences; 0: any number. @param changed for others to know it */
	constructor(allowed: number, changed: CrashLoopChanged = () => undefined) {
		this.#allowed = allowed;
		this.#changed = changed;
	}

	/** What another node has found out, or this one's worker before it started again; what is known here already counts more. */
	learn(of: VersionNames, key: string, { crashes, outcome, error, invocation, retryAfterMs }: CrashLoop): void {
		if (this.#allowed === 0 || this.#crashed.has(key)) return;
		const atMs = performance.now();
		this.#crashed.set(key, { of, crashes, outcome, error, invocation, untilMs: atMs + retryAfterMs, atMs });
	}

	/** A sandbox of the version ended before it answered, by its function's fault. */
	crashed({ key, project, function: name, version }: Target, { outcome, error, invocation }: Crash): void {
		if (this.#allowed === 0) return;
		const crashes = (this.#crashed.get(key)?.crashes ?? 0) + 1;
		const atMs = performance.now();
		const untilMs = crashes < this.#allowed ? atMs : atMs + backOffMs(crashes - this.#allowed);
		const of = { project, function: name, version };
		const crashed = { of, crashes, outcome, error: error.slice(0, ERROR_LENGTH), invocation, untilMs, atMs };
		this.#crashed.set(key, crashed);
		if (crashes >= this.#allowed) this.#changed(of, told(crashed, untilMs - atMs));
	}

	/** The function answered, be it with an error. */
	answered({ key }: Target): void {
		const crashed = this.#crashed.get(key);
		if (crashed === undefined) return;
		this.#crashed.delete(key);
		if (crashed.crashes >= this.#allowed) this.#changed(crashed.of, undefined);
	}

	/** Why no sandbox is started for a version now; undefined when one may be: the only one, while it is unknown how that ends. */
	refusal({ key }: Pick<Target, "key">, serving: number): BerthError | undefined {
		const crashLoop = this.of(key, serving);
		if (crashLoop === undefined || crashLoop.retryAfterMs === 0) return undefined;
		const { crashes, outcome, error, invocation } = crashLoop;
		const last = invocation === "" ? "" : `, at ${invocation}`;
		const detail = `${key} crashed ${crashes} times in a row (${outcome}${last}: ${error}); it is tried again later, or when another version is deployed`;
		return new BerthError("function_failing", detail, { extra: { crashLoop } });
	}

	/** How long no sandbox is started for a version, 0 when one may be; undefined for one that may crash more. @param serving how many run it, or are started for it */
	of(key: string, serving: number): CrashLoop | undefined {
		const crashed = this.#crashed.get(key);
		if (crashed === undefined || crashed.crashes < this.#allowed) return undefined;
		return told(crashed, Math.max(serving === 0 ? 0 : TRYING_MS, crashed.untilMs - performance.now()));
	}

	/** Versions that wait for their next try. */
	list(): readonly (CrashLoop & VersionNames)[] {
		const now = performance.now();
		return [...this.#crashed.values()]
			.filter(({ crashes }) => crashes >= this.#allowed)
			.map((crashed) => ({ ...crashed.of, ...told(crashed, Math.max(0, crashed.untilMs - now)) }));
	}

	/** Forgets those that have been left alone. */
	forgetOld(): void {
		const since = performance.now() - FORGOTTEN_MS;
		for (const [key, { atMs }] of this.#crashed) if (atMs < since) this.#crashed.delete(key);
	}
}

function told({ crashes, outcome, error, invocation }: Crashed, retryAfterMs: number): CrashLoop {
	return { crashes, outcome, error, invocation, retryAfterMs: Math.ceil(retryAfterMs) };
}

/** Half of it at random, so that those that fail together don't come again together. */
function backOffMs(more: number): number {
	return Math.min(FIRST_MS * 2 ** Math.min(more, 20), MOST_MS) * (0.5 + Math.random() / 2);
}
