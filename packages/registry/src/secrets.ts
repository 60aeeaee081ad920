import { randomBytes } from "node:crypto";
import { BerthError, type Manifest, SECRET_LIMITS, type Secret, type SecretBinding, sealedAs } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis, Subscription } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import { removeUnused } from "./resource-index.js";
import { type Use, usesOf } from "./resource-users.js";
import { REMOVE_SECRET, SET_SECRET } from "./secret-scripts.js";
import type { Vault } from "./vault.js";

/** As it is kept. */
interface Stored extends Pick<Secret, "createdAt" | "updatedAt"> {
	readonly sealed: string;
	/** Another one with each value that it is given, and the same when it is only sealed anew. */
	readonly revision: string;
}

/** What a function is given. */
export interface OpenSecret {
	readonly name: string;
	readonly value: string;
	readonly revision: string;
}

/** The secrets of projects, sealed, in the durable Redis. All methods throw BerthError `unavailable` while it is away. */
export class Secrets {
	readonly #redis: Redis;
	readonly #vault: Vault;

	private constructor(redis: Redis, vault: Vault) {
		this.#redis = redis;
		this.#vault = vault;
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, vault: Vault, log?: ConnectionLog): Promise<Secrets> {
		const [redis] = await openRedis([{ url, use: "command", name: "secrets", log }]);
		return new Secrets(redis, vault);
	}

	/** By name. */
	async list(project: string): Promise<readonly Secret[]> {
		const [found, uses] = await guarded(this.#redis, "listing secrets", () =>
			Promise.all([this.#redis.hgetall(keys.secrets(project)), usesOf(this.#redis, project, secretsIn)]),
		);
		const used = Map.groupBy(uses, ({ named }) => named.name);
		return Object.entries(found)
			.map(([name, text]) => {
				const own = used.get(name) ?? [];
				const functions = [...new Set(own.map((use) => use.function))].sort();
				return { name, ...shown(text), functions, bindings: bindingsIn(own) };
			})
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** Puts a value in the place of what there was. @returns whether there was none. @throws BerthError project_not_found when that was removed; invalid_request when it has as many as it may */
	async set(project: string, name: string, value: string): Promise<{ readonly isNew: boolean } & Omit<Secret, "functions" | "bindings">> {
		const now = new Date().toISOString();
		const record: Stored = {
			sealed: this.#vault.seal(value, sealedAs.secret(project, name)),
			revision: randomBytes(8).toString("hex"),
			createdAt: now,
			updatedAt: now,
		};
		const args = [name, JSON.stringify(record), SECRET_LIMITS.count, project, keys.secretChanges];
		const [text, isNew] = (await guarded(this.#redis, `setting the secret ${name}`, () =>
			SET_SECRET.run(this.#redis, [keys.secrets(project), keys.removedProjects], args),
		)) as [string, number?];
		if (text === "gone") throw projectNotFound(project);
		if (text === "full")
			throw new BerthError("invalid_request", `this project has ${SECRET_LIMITS.count} secrets, and no more are possible; remove one`);
		return { name, ...shown(text), isNew: isNew === 1 };
	}

	/** @throws BerthError secret_not_found, secret_in_use */
	async remove(project: string, name: string): Promise<void> {
		const { word, functions } = await removeUnused(this.#redis, project, "secret", name, (users) =>
			REMOVE_SECRET.run(this.#redis, [keys.secrets(project), ...users], [name, project, keys.secretChanges]),
		);
		if (word === "none") throw new BerthError("secret_not_found", `there is no secret ${JSON.stringify(name)} in this project`);
		if (word === "ok") return;
		throw new BerthError("secret_in_use", `versions of ${functions.join(", ")} have ${name}; delete those, or their functions`, {
			extra: { functions },
		});
	}

	/** The values of some, in their order. @throws BerthError secret_unavailable for one that isn't there, platform_error for one that can't be opened */
	async values(project: string, names: readonly string[]): Promise<readonly OpenSecret[]> {
		const found = await guarded(this.#redis, "reading secrets", () => this.#redis.hmget(keys.secrets(project), ...names));
		return names.map((name, at) => {
			const text = found[at];
			if (typeof text !== "string") throw unavailable(`there is no secret ${name} in this project; set it: \`berth secret set ${name}\``);
			const { sealed, revision } = JSON.parse(text) as Stored;
			return { name, value: this.#vault.open(sealed, sealedAs.secret(project, name)), revision };
		});
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}
}

/** News of secrets that changed, for whoever keeps values. */
export class SecretChanges {
	readonly #redis: Redis;

	private constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** @param listener gets the project, or undefined when any may have changed. @throws Error when Redis can't be reached */
	static async open(url: string, listener: (project: string | undefined) => void, log?: ConnectionLog): Promise<SecretChanges> {
		const [redis] = await openRedis([{ url, use: "subscriber", name: "secret-changes", log }]);
		const events = { onMessage: listener, onResumed: () => listener(undefined) };
		await new Subscription(redis, [keys.secretChanges], events, log).listening;
		return new SecretChanges(redis);
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}
}

/** With where it goes, where it goes to a host. */
interface Named {
	readonly name: string;
	readonly host?: string;
	readonly header?: string;
}

function secretsIn({ secrets = [] }: Pick<Manifest, "secrets">): readonly Named[] {
	return secrets.map((one) => (typeof one === "string" ? { name: one } : one));
}

/** Versions of a function have the same ones, mostly. */
function bindingsIn(uses: readonly Use<Named>[]): readonly SecretBinding[] {
	const all = uses.flatMap(({ function: of, named: { host, header } }) =>
		host === undefined || header === undefined ? [] : [{ function: of, host, header }],
	);
	return [...new Map(all.map((one) => [Object.values(one).join(" "), one])).values()];
}

function shown(text: string): Pick<Secret, "createdAt" | "updatedAt"> {
	const { createdAt, updatedAt } = JSON.parse(text) as Stored;
	return { createdAt, updatedAt };
}

function unavailable(message: string): BerthError {
	return new BerthError("secret_unavailable", message);
}
