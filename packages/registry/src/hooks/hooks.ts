import { randomBytes } from "node:crypto";
import { BerthError, type CheckedHookChanges, type CheckedHookInput, HOOK_LIMITS, type Hook, sealedAs } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis } from "@berth/redis";
import { functionNotFound } from "../absent.js";
import type { PayloadStore } from "../artifacts/payload-store.js";
import { keys } from "../keys.js";
import type { Vault } from "../vault.js";
import { hookNotFound } from "./absent.js";
import { HookLog } from "./hook-log.js";
import { CHANGE_HOOK, MAKE_HOOK, REMOVE_HOOK } from "./hook-scripts.js";

/** 160 random bits: who is to deliver to a hook has to know them. */
const ID_BYTES = 20;
const ID = /^[0-9a-f]{40}$/;
/** A change is tried again when somebody else's came between: so often. */
const TRIES = 5;

/** What never changes of a hook, and what `PATCH` does. */
interface Config extends Omit<Hook, "path" | "secretSetAt" | "previousSecretUntil"> {
	readonly project: string;
}

/** Sealed, each bound to its hook. */
interface Secrets {
	readonly current?: { readonly sealed: string; readonly setAt: string };
	readonly previous?: { readonly sealed: string; readonly untilMs: number };
}

/** A hook with all that a delivery needs. */
export interface OpenHook {
	readonly id: string;
	readonly project: string;
	readonly hook: Hook;
	/** Opens those that are good now: none, one or two. @throws BerthError platform_error when one can't be opened */
	readonly secrets: () => readonly string[];
}

export interface HooksOptions {
	/** The durable Redis. */
	readonly url: string;
	readonly vault: Vault;
	/** Where bodies of deliveries are. */
	readonly bodies: PayloadStore;
	/** How long an event is kept, milliseconds. */
	readonly retentionMs: number;
	readonly log?: ConnectionLog | undefined;
}

/** The hooks of functions, their secrets and their logs, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class Hooks {
	readonly log: HookLog;
	readonly #redis: Redis;
	readonly #owned: readonly Redis[];
	readonly #vault: Vault;

	private constructor(owned: readonly [Redis, Redis], { vault, bodies, retentionMs }: HooksOptions) {
		this.#redis = owned[0];
		this.#owned = owned;
		this.#vault = vault;
		this.log = new HookLog(...owned, bodies, retentionMs);
	}

	/** @throws Error when the Redis can't be reached */
	static async open(options: HooksOptions): Promise<Hooks> {
		const { url, log } = options;
		const owned = await openRedis([
			{ url, use: "command", name: "hooks", log },
			{ url, use: "subscriber", name: "hook-events", log },
		]);
		return new Hooks(owned, options);
	}

	/** @throws BerthError function_not_found, hook_exists, invalid_request when the function has as many as it may */
	async make(project: string, name: string, input: CheckedHookInput, secret: string | undefined): Promise<Hook> {
		const { secret: _, name: given, toleranceMs, ...rest } = input;
		const now = new Date().toISOString();
		const id = randomBytes(ID_BYTES).toString("hex");
		const tolerance = toleranceMs === undefined ? {} : { toleranceMs };
		const config: Config = {
			name: given ?? input.scheme,
			function: name,
			project,
			...rest,
			...tolerance,
			settings: present(input.settings),
			createdAt: now,
			updatedAt: now,
		};
		const secrets: Secrets =
			secret === undefined ? {} : { current: { sealed: this.#vault.seal(secret, sealedAs.hook(project, id)), setAt: now } };
		const word = await this.#do("making a hook", () =>
			MAKE_HOOK.run(
				this.#redis,
				[keys.function(project, name), keys.hooks(project, name), keys.hook(id)],
				[config.name, id, JSON.stringify(config), JSON.stringify(secrets)],
			),
		);
		if (word === "no_function") throw functionNotFound(name);
		if (word === "exists") throw new BerthError("hook_exists", `${name} has a hook ${config.name} already; give this one another name`);
		if (word === "full") throw new BerthError("invalid_request", `${name} has ${HOOK_LIMITS.hooks} hooks, and no more are possible`);
		return hookOf(id, config, secrets);
	}

	/** By name; none also of a function that isn't there. */
	async list(project: string, name: string): Promise<readonly Hook[]> {
		const ids = await this.#do("listing hooks", () => this.#redis.hgetall(keys.hooks(project, name)));
		const found = await Promise.all(Object.values(ids).map((id) => this.find(id)));
		return found
			.filter((one) => one !== undefined)
			.map(({ hook }) => hook)
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** @throws BerthError hook_not_found */
	async need(project: string, name: string, hook: string): Promise<OpenHook> {
		const id = await this.#do("looking for a hook", () => this.#redis.hget(keys.hooks(project, name), hook));
		const found = id === null ? undefined : await this.find(id);
		if (found === undefined) throw hookNotFound(name, hook);
		return found;
	}

	/** The hook that a delivery names; undefined when there is none. */
	async find(id: string): Promise<OpenHook | undefined> {
		const [config, secrets] = await this.#read(id);
		if (config === undefined) return undefined;
		const { current, previous } = JSON.parse(secrets) as Secrets;
		const parsed = JSON.parse(config) as Config;
		const isGood = previous !== undefined && previous.untilMs > Date.now();
		const open = (sealed: string) => this.#vault.open(sealed, sealedAs.hook(parsed.project, id));
		return {
			id,
			project: parsed.project,
			hook: hookOf(id, parsed, JSON.parse(secrets) as Secrets),
			secrets: () => [...(current === undefined ? [] : [open(current.sealed)]), ...(isGood ? [open(previous.sealed)] : [])],
		};
	}

	/** @throws BerthError hook_not_found */
	async change({ id, hook }: OpenHook, changes: CheckedHookChanges): Promise<Hook> {
		await this.#replace(id, hook, "config", (text) => ({
			...(JSON.parse(text) as Config),
			...present(changes),
			...(changes.settings === undefined ? {} : { settings: present(changes.settings) }),
			updatedAt: new Date().toISOString(),
		}));
		return await this.#needById(id, hook);
	}

	/** Another secret; the one before is good for a while, too, where it can be opened. @throws BerthError hook_not_found */
	async rotate({ id, project, hook }: OpenHook, secret: string, overlapMs: number): Promise<Hook> {
		const now = Date.now();
		const sealed = this.#vault.seal(secret, sealedAs.hook(project, id));
		await this.#replace(id, hook, "secrets", (text): Secrets => {
			const { current } = JSON.parse(text) as Secrets;
			const isOver = current === undefined || overlapMs === 0 || !this.#vault.canOpen(current.sealed, sealedAs.hook(project, id));
			const previous = isOver ? {} : { previous: { sealed: current.sealed, untilMs: now + overlapMs } };
			return { current: { sealed, setAt: new Date(now).toISOString() }, ...previous };
		});
		return await this.#needById(id, hook);
	}

	/** With its log. @throws BerthError hook_not_found */
	async remove({ id, project, hook }: OpenHook): Promise<void> {
		const { function: name } = hook;
		const done = await this.#do("removing a hook", () =>
			REMOVE_HOOK.run(
				this.#redis,
				[keys.hooks(project, name), keys.hook(id), keys.hookLog(id), keys.hookRuns(id), keys.hookIdle(id), keys.hookEvents],
				[hook.name, id],
			),
		);
		if (done !== 1) throw hookNotFound(name, hook.name);
	}

	async close(): Promise<void> {
		await Promise.all(this.#owned.map(closeRedis));
	}

	async #needById(id: string, { function: name, name: hook }: Hook): Promise<Hook> {
		const found = await this.find(id);
		if (found === undefined) throw hookNotFound(name, hook);
		return found.hook;
	}

	async #replace(id: string, hook: Hook, field: "config" | "secrets", change: (text: string) => object): Promise<void> {
		for (let tries = 0; tries < TRIES; tries++) {
			const [config, secrets] = await this.#read(id);
			if (config === undefined) throw hookNotFound(hook.function, hook.name);
			const before = field === "config" ? config : secrets;
			const changed = await this.#do("changing a hook", () =>
				CHANGE_HOOK.run(this.#redis, [keys.hook(id)], [field, before, JSON.stringify(change(before))]),
			);
			if (changed === 1) return;
		}
		throw new BerthError("unavailable", `${hook.name} is being changed by others all the time; try again`);
	}

	async #read(id: string): Promise<readonly [string, string] | readonly [undefined]> {
		if (!ID.test(id)) return [undefined];
		const [config, secrets] = await this.#do("looking for a hook", () => this.#redis.hmget(keys.hook(id), "config", "secrets"));
		return config && secrets ? [config, secrets] : [undefined];
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}
}

function hookOf(id: string, { project: _, ...config }: Config, { current, previous }: Secrets): Hook {
	const isGood = previous !== undefined && previous.untilMs > Date.now();
	return {
		...config,
		path: `/hook/${id}`,
		...(current === undefined ? {} : { secretSetAt: current.setAt }),
		...(isGood ? { previousSecretUntil: new Date(previous.untilMs).toISOString() } : {}),
	};
}

type Present<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** Without fields that have no value. */
function present<T extends object>(fields: T): Present<T> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}
