import { FREEZE_AFTER_MS } from "./compaction.js";
import type { Sandbox } from "./sandbox.js";

/** What the idle sandboxes need of their pool. */
export interface IdleOptions {
	/** One was frozen: from now on it can't grow. */
	readonly onFrozen: (sandbox: Sandbox) => void;
	/** Something of its function still runs in one: it is to be retired. */
	readonly onStrays: (sandbox: Sandbox) => void;
	/** One couldn't be frozen: it is to be retired. */
	readonly onTrouble: (sandbox: Sandbox, error: Error) => void;
}

/** Sandboxes that have run their version and wait for the next invocation: warm at first, soon frozen. */
export class IdleSandboxes {
	readonly #options: IdleOptions;
	readonly #byVersion = new Map<string, Sandbox[]>();
	readonly #timers = new Map<Sandbox, NodeJS.Timeout>();

	constructor(options: IdleOptions) {
		this.#options = options;
	}

	/** Takes one that has just become warm. */
	add(sandbox: Sandbox): void {
		const key = keyOf(sandbox);
		const list = this.#byVersion.get(key);
		if (list === undefined) this.#byVersion.set(key, [sandbox]);
		else list.push(sandbox);
		const timer = this.#timers.get(sandbox);
		if (timer === undefined)
			this.#timers.set(
				sandbox,
				setTimeout(() => this.#freeze(sandbox), FREEZE_AFTER_MS),
			);
		else timer.refresh();
	}

	/** The one of a version that was used last, frozen or not. */
	take(key: string): Sandbox | undefined {
		const list = this.#byVersion.get(key);
		const sandbox = list?.pop();
		if (sandbox === undefined) return undefined;
		if (list?.length === 0) this.#byVersion.delete(key);
		return sandbox;
	}

	/** Lets go of one, wherever it stands. Idempotent. */
	remove(sandbox: Sandbox): void {
		clearTimeout(this.#timers.get(sandbox));
		this.#timers.delete(sandbox);
		if (sandbox.specialisation === undefined) return;
		const key = keyOf(sandbox);
		const list = this.#byVersion.get(key);
		const at = list?.indexOf(sandbox) ?? -1;
		if (at >= 0) list?.splice(at, 1);
		if (list?.length === 0) this.#byVersion.delete(key);
	}

	has(key: string): boolean {
		return this.#byVersion.has(key);
	}

	/** Those of a function, whatever version. */
	ofFunction(project: string, name: string): readonly Sandbox[] {
		const prefix = `${project}/${name}:`;
		return [...this.#byVersion].filter(([key]) => key.startsWith(prefix)).flatMap(([, list]) => list);
	}

	/** Those of a version, the one that was used last at the end. */
	ofVersion(key: string): readonly Sandbox[] {
		return this.#byVersion.get(key) ?? [];
	}

	/** The one that was used least recently, of those that may be taken. */
	oldest(mayTake: (sandbox: Sandbox) => boolean = () => true): Sandbox | undefined {
		return this.all().reduce<Sandbox | undefined>(
			(oldest, each) => ((oldest === undefined || each.idleSinceMs < oldest.idleSinceMs) && mayTake(each) ? each : oldest),
			undefined,
		);
	}

	all(): readonly Sandbox[] {
		return [...this.#byVersion.values()].flat();
	}

	/** A sandbox that is used again and again keeps its timer, which then finds that it came too early. */
	#freeze(sandbox: Sandbox): void {
		const timer = this.#timers.get(sandbox);
		if (sandbox.state !== "warm") {
			this.#timers.delete(sandbox);
			return;
		}
		// A timer may ring a little early.
		if (sandbox.staysAwake(performance.now() - sandbox.idleSinceMs + 1)) {
			timer?.refresh();
			return;
		}
		this.#timers.delete(sandbox);
		if (sandbox.hasLateStrays()) {
			this.#options.onStrays(sandbox);
			return;
		}
		try {
			const frozen = sandbox.freeze();
			sandbox.move("frozen");
			this.#options.onFrozen(sandbox);
			// One that was taken meanwhile is awake, as it has to be.
			frozen?.catch((error: Error) => {
				if (sandbox.state === "frozen") this.#options.onTrouble(sandbox, error);
			});
		} catch (error) {
			this.#options.onTrouble(sandbox, error as Error);
		}
	}
}

function keyOf(sandbox: Sandbox): string {
	return sandbox.specialisation?.key ?? "";
}
