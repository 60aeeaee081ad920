import { randomBytes } from "node:crypto";
import { BerthError, type CallbackSecret, DAY_MS, schemeOf, sealedAs } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, LuaScript, openRedis, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import type { Vault } from "./vault.js";

/** How long callbacks are signed with the secret before, too: so long its receivers have to learn the new one. Milliseconds. */
const OVERLAP_MS = DAY_MS;
/** Secrets before the current one that are promised at a time. */
const MOST_BEFORE = 3;
const SECRET_BYTES = 32;

interface Previous {
	readonly sealed: string;
	readonly untilMs: number;
}

/** Sealed. */
interface Stored {
	readonly current: { readonly sealed: string; readonly setAt: string };
	/** The newest first. */
	readonly previous?: readonly Previous[];
}

/** Writes one in the place of what was read; the answer is what is there now, or nothing when the project was removed. */
const REPLACE = new LuaScript(`
	if redis.call("HEXISTS", KEYS[2], ARGV[3]) == 1 then return false end
	local before = redis.call("GET", KEYS[1])
	if (before or "") ~= ARGV[1] then return before end
	redis.call("SET", KEYS[1], ARGV[2])
	return ARGV[2]
`);

/** A rotation is tried again when somebody else's came between: so often. */
const MOST_TRIES = 5;

/** What callbacks of projects are signed with, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class CallbackSecrets {
	readonly #redis: Redis;
	readonly #vault: Vault;

	private constructor(redis: Redis, vault: Vault) {
		this.#redis = redis;
		this.#vault = vault;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, vault: Vault, log?: ConnectionLog): Promise<CallbackSecrets> {
		const [redis] = await openRedis([{ url, use: "command", name: "callback-secrets", log }]);
		return new CallbackSecrets(redis, vault);
	}

	/** The one that there is, made when there is none. @throws BerthError platform_error when it can't be opened; project_not_found when that was removed */
	async get(project: string): Promise<CallbackSecret> {
		return this.#shown(project, await this.#stored(project));
	}

	/** Those that are good now, the newest first. @throws BerthError as `get` */
	async signing(project: string): Promise<readonly string[]> {
		const { current, previous } = await this.#stored(project);
		const good = this.#promised(project, previous).map(({ sealed }) => sealed);
		return [current.sealed, ...good].map((sealed) => this.#vault.open(sealed, sealedAs.callbacks(project)));
	}

	/**
	 * Another one; those before sign for a day each, too, where they can be opened, also one that somebody else made meanwhile.
	 * @throws BerthError invalid_request when as many are promised as may be
	 */
	async rotate(project: string): Promise<CallbackSecret> {
		for (let tries = 1; ; tries++) {
			const rotated = await this.#rotated(project);
			if (rotated !== undefined) return rotated;
			if (tries === MOST_TRIES)
				throw new BerthError("unavailable", "the secret of callbacks is being rotated by others; look at it, and try again");
		}
	}

	/** Undefined when somebody else was quicker. */
	async #rotated(project: string): Promise<CallbackSecret | undefined> {
		const before = await this.#read(project);
		const { current, previous }: Partial<Stored> = before === null ? {} : storedIn(before);
		const isKept = current !== undefined && this.#vault.canOpen(current.sealed, sealedAs.callbacks(project));
		const promised = this.#promised(project, previous);
		if (isKept && promised.length >= MOST_BEFORE) throw tooMany(promised);
		const next = this.#made(project, [...(isKept ? [{ sealed: current.sealed, untilMs: Date.now() + OVERLAP_MS }] : []), ...promised]);
		if ((await this.#replace(project, before ?? "", next)) !== next) return undefined;
		return this.#shown(project, storedIn(next));
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	async #stored(project: string): Promise<Stored> {
		const text = (await this.#read(project)) ?? (await this.#replace(project, "", this.#made(project, [])));
		return storedIn(text);
	}

	/** Those before that are still signed with. */
	#promised(project: string, previous: Stored["previous"] = []): readonly Previous[] {
		return previous.filter(({ sealed, untilMs }) => untilMs > Date.now() && this.#vault.canOpen(sealed, sealedAs.callbacks(project)));
	}

	#made(project: string, previous: readonly Previous[]): string {
		const secret = schemeOf("standard-webhooks").newSecret(randomBytes(SECRET_BYTES));
		const current = { sealed: this.#vault.seal(secret, sealedAs.callbacks(project)), setAt: new Date().toISOString() };
		return JSON.stringify({ current, ...(previous.length === 0 ? {} : { previous }) } satisfies Stored);
	}

	#shown(project: string, { current, previous }: Stored): CallbackSecret {
		const [newest] = this.#promised(project, previous);
		return {
			secret: this.#vault.open(current.sealed, sealedAs.callbacks(project)),
			setAt: current.setAt,
			...(newest === undefined ? {} : { previousUntil: new Date(newest.untilMs).toISOString() }),
		};
	}

	async #read(project: string): Promise<string | null> {
		return await guarded(this.#redis, "reading the secret of callbacks", () => this.#redis.get(keys.callbackSecret(project)));
	}

	async #replace(project: string, before: string, after: string): Promise<string> {
		const args = [before, after, project];
		const now = await guarded(this.#redis, "storing the secret of callbacks", () =>
			REPLACE.run(this.#redis, [keys.callbackSecret(project), keys.removedProjects], args),
		);
		if (now === null) throw projectNotFound(project);
		return String(now);
	}
}

/** Of an earlier form there is one before, and no list. */
function storedIn(text: string): Stored {
	const { current, previous = [] } = JSON.parse(text) as { readonly current: Stored["current"]; readonly previous?: Previous | Previous[] };
	return { current, previous: [previous].flat() };
}

function tooMany(promised: readonly Previous[]): BerthError {
	const until = new Date(Math.min(...promised.map(({ untilMs }) => untilMs))).toISOString();
	return new BerthError(
		"invalid_request",
		`the secret was rotated ${MOST_BEFORE} times within a day, and callbacks are signed with all of them as was promised; it can be rotated again after ${until}`,
	);
}
