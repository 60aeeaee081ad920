import { MINUTE_MS, type SandboxKept, SECOND_MS } from "@berth/contracts";
import type { AheadStarts } from "../ahead-starts.js";
import type { IdleSandboxes } from "../idle-sandboxes.js";
import type { Sandbox } from "../sandbox.js";
import { type Specialisation, sameSecrets, type VersionNames } from "../version-target.js";
import type { Rhythms } from "./rhythms.js";

/** A version that came to nothing ahead of need is tried again after so long; twice as long after each that follows. */
const AGAIN_MS = { first: SECOND_MS, most: 5 * MINUTE_MS } as const;

/** How many sandboxes a version has at least, idle ones and those at work. */
export interface Minimum extends VersionNames {
	readonly sandboxes: number;
}

export interface WarmthOptions {
	readonly idle: IdleSandboxes;
	readonly ahead: AheadStarts;
	readonly rhythms: Rhythms;
	/** The version with what it is given now; undefined when there is none, or its node can't run it. */
	readonly targetOf: (names: VersionNames) => Promise<Specialisation | undefined>;
	readonly retire: (sandbox: Sandbox) => void;
	readonly onTrouble: (message: string, error: Error) => void;
}

/** Which sandboxes that have a version stay while nobody uses them, and which are started before anybody asks: minimums, and the functions' own rhythms. */
export class Warmth {
	readonly #options: WarmthOptions;
	#minimums: ReadonlyMap<string, Minimum> = new Map();
	/** Versions of which the last start ahead of need came to nothing. */
	readonly #failed = new Map<string, { readonly times: number; readonly untilMs: number }>();
	#isStarting = false;
	#closed = false;

	constructor(options: WarmthOptions) {
		this.#options = options;
	}

	/** In place of those that were set before. */
	setMinimums(minimums: readonly Minimum[]): void {
		this.#minimums = new Map(minimums.map((each) => [keyOf(each), each]));
		void this.#start([]);
	}

	/** Whether an idle sandbox is one of its version's minimum: those that were used last are. */
	isPromised(sandbox: Sandbox): boolean {
		const key = sandbox.specialisation?.key ?? "";
		const minimum = this.#minimums.get(key);
		if (minimum === undefined) return false;
		const idle = this.#options.idle.ofVersion(key);
		return idle.indexOf(sandbox) >= idle.length - (minimum.sandboxes - this.#options.ahead.serving(key));
	}

	/** Why a sandbox is there that nobody uses. */
	keptFor(sandbox: Sandbox, nowMs: number): SandboxKept | undefined {
		if (sandbox.state === "prewarmed") return { why: "floor" };
		const { specialisation: of } = sandbox;
		if (of === undefined || (sandbox.state !== "warm" && sandbox.state !== "frozen")) return undefined;
		if (this.isPromised(sandbox)) return { why: "minimum" };
		const freeInMs = Math.max(0, Math.round(this.#freeAtMs(sandbox, of) - nowMs));
		return { why: this.#options.rhythms.windowsOf(of).by, freeInMs };
	}

	/** Frees what nobody is expected to use soon, and starts what somebody is. */
	tidy(nowMs: number): void {
		const { idle, rhythms, retire } = this.#options;
		for (const sandbox of idle.all()) {
			const of = sandbox.specialisation;
			if (of !== undefined && nowMs >= this.#freeAtMs(sandbox, of) && !this.isPromised(sandbox)) retire(sandbox);
		}
		for (const [key, { untilMs }] of this.#failed) if (nowMs - untilMs > AGAIN_MS.most) this.#failed.delete(key);
		const foreseen = rhythms.foreseen(nowMs);
		rhythms.forgetOld(nowMs);
		void this.#start(foreseen);
	}

	/** Starts no more. */
	close(): void {
		this.#closed = true;
	}

	#freeAtMs(sandbox: Sandbox, of: VersionNames): number {
		return this.#options.rhythms.freeAtMs(of, sandbox.idleSinceMs, sandbox.invocations === 0);
	}

	/** One after another: nobody waits for any of them. Minimums that it doesn't come to are there again at the next turn. */
	async #start(foreseen: readonly VersionNames[]): Promise<void> {
		if (this.#isStarting || this.#closed || this.#minimums.size + foreseen.length === 0) return;
		this.#isStarting = true;
		try {
			for (const each of foreseen) await this.#reach(each, 1);
			for (const each of this.#minimums.values()) await this.#reach(each, each.sandboxes);
		} finally {
			this.#isStarting = false;
		}
	}

	async #reach(of: VersionNames, sandboxes: number): Promise<void> {
		const { ahead, targetOf, onTrouble } = this.#options;
		const key = keyOf(of);
		if ((this.#failed.get(key)?.untilMs ?? 0) > performance.now()) return;
		try {
			const target = await targetOf(of);
			if (target === undefined) return;
			this.#retireOutdated(target);
			while (!this.#closed && ahead.count(key) < sandboxes) {
				const done = await ahead.start(target);
				if (done === "later") return;
				if (!done) return this.#failedOnce(key);
				this.#failed.delete(key);
			}
		} catch (error) {
			this.#failedOnce(key);
			onTrouble(`a sandbox of ${key} couldn't be started ahead of need`, error as Error);
		}
	}

	/** Those that have a secret's value of before serve nobody any more. */
	#retireOutdated(target: Specialisation): void {
		const { idle, retire } = this.#options;
		for (const sandbox of [...idle.ofVersion(target.key)]) if (!sameSecrets(sandbox.specialisation, target)) retire(sandbox);
	}

	#failedOnce(key: string): void {
		const times = (this.#failed.get(key)?.times ?? 0) + 1;
		const waitMs = Math.min(AGAIN_MS.first * 2 ** (times - 1), AGAIN_MS.most);
		this.#failed.set(key, { times, untilMs: performance.now() + waitMs });
	}
}

function keyOf({ project, function: name, version }: VersionNames): string {
	return `${project}/${name}:${version}`;
}
