import { MINUTE_MS, type SandboxKept, SECOND_MS } from "@berth/contracts";
import type { AheadStarts } from "../ahead-starts.js";
import type { IdleSandboxes } from "../idle-sandboxes.js";
import type { Sandbox } from "../sandbox.js";
import { type Specialisation, sameSecrets, type VersionNames } from "../version-target.js";
import type { Rhythms } from "./rhythms.js";

/** A version that came to nothing ahead of need is tried again after so long; twice as long after each that follows. */
const AGAIN_MS = { first: SECOND_MS, most: 5 * MINUTE_MS } as const;

/** Projects that sandboxes are started for at the same time. */
const MOST_AT_ONCE = 4;

/** How many sandboxes a version has at least, idle ones and those at work. */
export interface Minimum extends VersionNames {
	readonly sandboxes: number;
}

interface Wanted extends Minimum {
	/** Wanted for what is expected to come, not always. */
	readonly isForeseen: boolean;
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
	/** What is to be started of projects, in turn. */
	readonly #wanted = new Map<string, readonly Wanted[]>();
	/** Projects of which something is being started. */
	readonly #starting = new Set<string>();
	#closed = false;

	constructor(options: WarmthOptions) {
		this.#options = options;
	}

	/** In place of those that were set before. */
	setMinimums(minimums: readonly Minimum[]): void {
		this.#minimums = new Map(minimums.map((each) => [keyOf(each), each]));
		this.#start([]);
	}

	/** How many sandboxes the minimums lack. */
	get missing(): number {
		let missing = 0;
		for (const [key, { sandboxes }] of this.#minimums) missing += Math.max(0, sandboxes - this.#options.ahead.count(key));
		return missing;
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
		this.#start(foreseen);
	}

	/** Starts no more. */
	close(): void {
		this.#closed = true;
	}

	#freeAtMs(sandbox: Sandbox, of: VersionNames): number {
		return this.#options.rhythms.freeAtMs(of, sandbox.idleSinceMs, sandbox.invocations === 0);
	}

	#start(foreseen: readonly VersionNames[]): void {
		const wanted = new Map<string, Wanted[]>();
		const add = (one: Wanted) => wanted.set(one.project, [...(wanted.get(one.project) ?? []), one]);
		for (const each of foreseen) add({ ...each, sandboxes: 1, isForeseen: true });
		for (const each of this.#minimums.values()) add({ ...each, isForeseen: false });
		for (const [project, all] of wanted) this.#wanted.set(project, all);
		this.#next();
	}

	/** Of a project one after another, so that one whose modules never come to an end holds up itself; projects in turns. */
	#next(): void {
		for (const [project, wanted] of this.#wanted) {
			if (this.#closed || this.#starting.size >= MOST_AT_ONCE) return;
			if (this.#starting.has(project)) continue;
			this.#wanted.delete(project);
			this.#starting.add(project);
			void this.#startFor(wanted).finally(() => {
				this.#starting.delete(project);
				this.#next();
			});
		}
	}

	async #startFor(wanted: readonly Wanted[]): Promise<void> {
		for (const each of wanted) {
			const isThere = await this.#reach(each, each.sandboxes);
			if (isThere && each.isForeseen) this.#options.rhythms.startedFor(each);
		}
	}

	/** @returns whether it has so many now, or never will: the version is gone, or not for this node */
	async #reach(of: VersionNames, sandboxes: number): Promise<boolean> {
		const { ahead, targetOf, onTrouble } = this.#options;
		const key = keyOf(of);
		if ((this.#failed.get(key)?.untilMs ?? 0) > performance.now()) return false;
		try {
			const target = await targetOf(of);
			if (target === undefined) return true;
			this.#retireOutdated(target);
			while (!this.#closed && ahead.count(key) < sandboxes) {
				const done = await ahead.start(target);
				if (done === "later") return false;
				if (!done) return this.#failedOnce(key);
				this.#failed.delete(key);
			}
			return true;
		} catch (error) {
			onTrouble(`a sandbox of ${key} couldn't be started ahead of need`, error as Error);
			return this.#failedOnce(key);
		}
	}

	/** Those that have a secret's value of before serve nobody any more. */
	#retireOutdated(target: Specialisation): void {
		const { idle, retire } = this.#options;
		for (const sandbox of [...idle.ofVersion(target.key)]) if (!sameSecrets(sandbox.specialisation, target)) retire(sandbox);
	}

	#failedOnce(key: string): false {
		const times = (this.#failed.get(key)?.times ?? 0) + 1;
		const waitMs = Math.min(AGAIN_MS.first * 2 ** (times - 1), AGAIN_MS.most);
		this.#failed.set(key, { times, untilMs: performance.now() + waitMs });
		return false;
	}
}

function keyOf({ project, function: name, version }: VersionNames): string {
	return `${project}/${name}:${version}`;
}
