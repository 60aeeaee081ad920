import { type Alias, type AliasTarget, BerthError, LIVE, MOST_ALIASES } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { functionNotFound, versionNotFound } from "./absent.js";
import { REMOVE_ALIAS, ROLL_BACK, SET_ALIAS } from "./alias-scripts.js";
import { keys, versionPrefix } from "./keys.js";
import { aliasesOf } from "./version-fields.js";

/** What a script answers: `ok`, or what is in the way. */
type Verdict = readonly [word: string, subject?: string];

/** The aliases of functions: each move is one script, and whoever reads one back after it sees it. */
export class Aliases {
	readonly #redis: Redis;
	readonly #onMoved: (key: string) => void;

	/** @param onMoved told `project/name` after a move, before who asked for it is answered */
	constructor(redis: Redis, onMoved: (key: string) => void) {
		this.#redis = redis;
		this.#onMoved = onMoved;
	}

	/** `live` first, then by name. @throws BerthError function_not_found */
	async list(project: string, name: string): Promise<readonly Alias[]> {
		const fields = await guarded(this.#redis, `reading ${name}`, () => this.#redis.hgetall(keys.function(project, name)));
		if (fields["latest"] === undefined) throw functionNotFound(name);
		return aliasesOf(fields);
	}

	/** @throws BerthError function_not_found, alias_not_found */
	async get(project: string, name: string, alias: string): Promise<Alias> {
		const found = (await this.list(project, name)).find((one) => one.name === alias);
		if (found === undefined) throw aliasNotFound(name, alias);
		return found;
	}

	/**
	 * Makes an alias or moves it.
	 * @param previous what it is rolled back to from there, unless that isn't ready; otherwise what it leads to wholly now
	 * @throws BerthError function_not_found, function_not_ready, version_not_found, version_not_ready, version_build_failed, invalid_request
	 */
	async set(project: string, name: string, alias: string, target: AliasTarget, previous?: number): Promise<Alias> {
		const shares = "follows" in target ? [] : Object.entries(target.weights).flat();
		const [word, subject] = await this.#move(SET_ALIAS, project, name, alias, [previous ?? "", ...shares]);
		if (word === "none_ready") throw new BerthError("function_not_ready", `${name} has no version that is ready`);
		if (word === "full")
			throw new BerthError("invalid_request", `${name} has ${MOST_ALIASES} aliases, and no more are possible; remove one`);
		if (word === "no_version") throw versionNotFound(name, Number(subject));
		if (word === "failed") throw new BerthError("version_build_failed", `version ${subject} of ${name} couldn't be built`);
		if (word === "not_ready") throw new BerthError("version_not_ready", `version ${subject} of ${name} is still being built`);
		return await this.get(project, name, alias);
	}

	/** Leads an alias wholly to the version that it led to wholly before. @throws BerthError function_not_found, alias_not_found, nothing_to_roll_back */
	async rollBack(project: string, name: string, alias: string): Promise<Alias> {
		const [word] = await this.#move(ROLL_BACK, project, name, alias);
		if (word === "nothing") {
			throw new BerthError("nothing_to_roll_back", `${alias} of ${name} has led to no other version that is still there`);
		}
		return await this.get(project, name, alias);
	}

	/** @throws BerthError function_not_found, alias_not_found, invalid_request for `live` */
	async remove(project: string, name: string, alias: string): Promise<void> {
		if (alias === LIVE) throw new BerthError("invalid_request", `${LIVE} can't be removed: it is what ${name} alone means`);
		const news = `${project}/${name}`;
		const given = [alias, new Date().toISOString(), news];
		const verdict = await guarded(this.#redis, `removing ${alias} of ${name}`, () =>
			REMOVE_ALIAS.run(this.#redis, [keys.function(project, name), keys.changes], given),
		);
		this.#check(verdict as Verdict, name, alias);
		this.#onMoved(news);
	}

	async #move(
		script: typeof SET_ALIAS,
		project: string,
		name: string,
		alias: string,
		target: readonly (string | number)[] = [],
	): Promise<Verdict> {
		const news = `${project}/${name}`;
		const given = [alias, new Date().toISOString(), news, versionPrefix(project, name), ...target];
		const verdict = await guarded(this.#redis, `moving ${alias} of ${name}`, () =>
			script.run(this.#redis, [keys.function(project, name), keys.numbers(project, name), keys.changes], given),
		);
		this.#onMoved(news);
		return this.#check(verdict as Verdict, name, alias);
	}

	#check(verdict: Verdict, name: string, alias: string): Verdict {
		if (verdict[0] === "no_function") throw functionNotFound(name);
		if (verdict[0] === "no_alias") throw aliasNotFound(name, alias);
		return verdict;
	}
}

/** The one sentence for an alias that nobody made. */
export function aliasNotFound(name: string, alias: string): BerthError {
	return new BerthError(
		"alias_not_found",
		`${name} has no alias ${JSON.stringify(alias)}; GET /v1/functions/${name}/aliases lists those there are`,
	);
}
