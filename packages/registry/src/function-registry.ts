import {
	BerthError,
	type BuildFailure,
	type BuildLogLine,
	type BuildReport,
	type Digest,
	type FunctionSummary,
	type ImageReference,
	LIVE,
	logTexts,
	type Manifest,
	type Selector,
	type SourceReference,
	type Version,
	type VersionCopy,
	type VersionState,
} from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis } from "@berth/redis";
import { functionNotFound, versionNotFound } from "./absent.js";
import { Aliases, aliasNotFound } from "./aliases.js";
import { BuildLogs } from "./build-logs.js";
import { Changes } from "./changes.js";
import { keys, versionPrefix } from "./keys.js";
import { LiveVersions, type Share } from "./live-versions.js";
import { Networks } from "./networks.js";
import { Rebases } from "./rebases.js";
import {
	ANY_VERSION,
	CREATE_VERSION,
	DELETE_FUNCTION,
	IMPORT_VERSION,
	REMOVE_VERSION,
	SET_COPY,
	SET_STATE,
	STORE_STATE,
} from "./scripts.js";
import { fingerprintOf, summaryOf, versionOf } from "./version-fields.js";
import { Volumes } from "./volumes.js";

/** How often a wait looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;
const VERSIONS_LISTED = 100;

/** What a build found. */
export type BuildEnd =
	| { readonly state: "ready"; readonly image: ImageReference; readonly build: BuildReport }
	| { readonly state: "failed"; readonly failure: BuildFailure; readonly build: BuildReport };

/** Names a version. */
export interface VersionName {
	readonly project: string;
	readonly function: string;
	readonly version: number;
}

/** What an alias leads to is read again when it moved and its version was removed meanwhile: so often. */
const READS = 3;

/**
 * Functions, their versions and aliases, in the durable Redis. Every change is one script; whoever reads one
 * back after it sees it. All methods throw BerthError `unavailable` while Redis is away.
 */
export class FunctionRegistry {
	readonly aliases: Aliases;
	readonly networks: Networks;
	readonly volumes: Volumes;
	readonly logs: BuildLogs;
	readonly rebases: Rebases;
	readonly #redis: Redis;
	readonly #owned: readonly Redis[];
	readonly #changes: Changes;
	readonly #live: LiveVersions;

	private constructor(owned: readonly [Redis, Redis], changes: Changes, logs: BuildLogs) {
		this.logs = logs;
		this.#redis = owned[0];
		this.#owned = owned;
		this.#changes = changes;
		this.#live = new LiveVersions(changes, (project, name, selector) => this.#sharesOf(project, name, selector));
		this.networks = new Networks(owned[0]);
		this.volumes = new Volumes(owned[0]);
		this.rebases = new Rebases({
			redis: owned[0],
			getFunction: (project, name) => this.getFunction(project, name),
			getVersion: (project, name, number) => this.getVersion(project, name, number),
			firstLine: stateLine("queued", "queued"),
			unrecovered,
		});
		this.aliases = new Aliases(owned[0], (key) => this.#live.forget(key));
	}

	/** @param url of the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog): Promise<FunctionRegistry> {
		const owned = await openRedis([
			{ url, use: "command", name: "registry", log },
			{ url, use: "subscriber", name: "registry-changes", log },
		]);
		return new FunctionRegistry(owned, await Changes.open(owned[1], log), await BuildLogs.open(...owned, log));
	}

	/**
	 * A new version, `queued`; or the latest one, `unchanged`, when it is ready and was made of this very
	 * source and manifest.
	 * @param how `damaged`: a version that isn't to be taken for unchanged; `noCache`: none is, and its layers are made anew
	 */
	async createVersion(
		project: string,
		name: string,
		manifest: Manifest,
		source: SourceReference,
		how: { readonly damaged?: number; readonly noCache?: boolean } = {},
	): Promise<{ version: Version; unchanged: boolean }> {
		const createdAt = new Date().toISOString();
		const base = JSON.stringify({ manifest, source, createdAt, ...(how.noCache === true ? { noCache: true } : {}) });
		const [number, unchanged] = (await this.#do(`deploying ${name}`, () =>
			CREATE_VERSION.run(
				this.#redis,
				[
					keys.names(project),
					keys.function(project, name),
					keys.numbers(project, name),
					keys.counter(project, name),
					keys.unfinished,
					keys.sourceUsers(source.digest),
					keys.store,
					keys.networks(project),
					keys.volumes(project),
				],
				[
					name,
					base,
					fingerprintOf(manifest, source),
					createdAt,
					versionPrefix(project, name),
					`${project}/${name}`,
					how.noCache === true ? ANY_VERSION : (how.damaged ?? ""),
					stateLine("queued", "queued"),
					typeof manifest.network === "object" ? manifest.network.join : "",
					...(manifest.volumes ?? []).map((volume) => volume.name),
				],
			),
		)) as [number, number | string] | [];
		if (number === undefined) throw unrecovered();
		if (number < 0) throw number === -1 ? noNetwork(manifest) : noVolume(String(unchanged));
		const version = await this.getVersion(project, name, number);
		if (version === undefined) throw new BerthError("function_not_found", `${name} was deleted while it was deployed; deploy it again`);
		return { version, unchanged: unchanged === 1 };
	}

	/** @returns false when the version is gone or final already: the build's result is void then */
	setBuilding(version: Version): Promise<boolean> {
		return this.#setState(version, "building", stateLine("building", "building"), {});
	}

	/** Ends a build; a ready version takes over the aliases that follow, unless they lead to a newer one. @returns false when the version is gone or final already */
	endBuild(version: Version, end: BuildEnd): Promise<boolean> {
		const { state, ...fields } = end;
		return this.#setState(version, state, endLine(end), { ...fields, finishedAt: new Date().toISOString() });
	}

	/** A number for a version that is imported: nobody else gets it. */
	reserveNumber(project: string, name: string): Promise<number> {
		return this.#do(`numbering a version of ${name}`, () => this.#redis.incr(keys.counter(project, name)));
	}

	/**
	 * Puts a version on record that was built before or elsewhere: `ready`, and where the aliases lead that follow unless a newer one is.
	 * @returns false when it is on record already
	 */
	async importVersion(
		version: Pick<Version, "project" | "function" | "number" | "manifest" | "source" | "createdAt">,
		image: ImageReference,
		build: BuildReport,
	): Promise<boolean> {
		const { project, function: name, number, manifest, source, createdAt } = version;
		const done = await this.#do(`recording ${name}:${number}`, () =>
			IMPORT_VERSION.run(
				this.#redis,
				[
					keys.names(project),
					keys.function(project, name),
					keys.numbers(project, name),
					keys.counter(project, name),
					keys.version(project, name, number),
					keys.sourceUsers(source.digest),
					keys.changes,
				],
				[
					name,
					number,
					`${project}/${name}`,
					JSON.stringify({ manifest, source, createdAt }),
					fingerprintOf(manifest, source),
					JSON.stringify(image),
					JSON.stringify(build),
					new Date().toISOString(),
				],
			),
		);
		this.#live.forget(`${project}/${name}`);
		return done === 1;
	}

	/**
	 * Whether the records are all that the artifact store has images of (`whole`); or this Redis is another one than
	 * the one that had them (`lost`), until `recovered`. @param hasImages of functions, in the store
	 */
	async storeState(hasImages: boolean): Promise<"whole" | "lost"> {
		const state = await this.#do("looking at the store's state", () =>
			STORE_STATE.run(this.#redis, [keys.store], [hasImages ? "lost" : "whole"]),
		);
		return state === "lost" ? "lost" : "whole";
	}

	/** @throws BerthError store_unrecovered while versions are in the artifact store that aren't on record: their numbers aren't known */
	async requireRecovered(): Promise<void> {
		if ((await this.#do("looking at the store's state", () => this.#redis.get(keys.store))) === "lost") throw unrecovered();
	}

	/** Everything in the artifact store is on record, or given up. */
	async recovered(): Promise<void> {
		await this.#do("recording that the store was recovered", () => this.#redis.set(keys.store, "whole"));
	}

	/** Whether a worker has found the records to be whole: only then may what they don't name be removed. */
	async isWhole(): Promise<boolean> {
		return (await this.#do("looking at the store's state", () => this.#redis.get(keys.store))) === "whole";
	}

	/** Puts on record how far the copy of a version's image is. @returns false when the version is gone */
	async setCopy({ project, function: name, version }: VersionName, copy: VersionCopy): Promise<boolean> {
		const done = await this.#do(`recording the copy of ${name}:${version}`, () =>
			SET_COPY.run(this.#redis, [keys.version(project, name, version)], [JSON.stringify(copy)]),
		);
		return done === 1;
	}

	/** The copies of many versions' images, in the order of the names. */
	async copiesOf(names: readonly VersionName[]): Promise<readonly (VersionCopy | undefined)[]> {
		const texts = await this.#do("reading what was pushed", () =>
			Promise.all(names.map(({ project, function: name, version }) => this.#redis.hget(keys.version(project, name, version), "copy"))),
		);
		return texts.map((text) => (text === null ? undefined : (JSON.parse(text) as VersionCopy)));
	}

	/** Versions that are queued or being built, in no order. */
	async unfinished(): Promise<readonly VersionName[]> {
		const members = await this.#do("listing builds", () => this.#redis.smembers(keys.unfinished));
		return members.map((member) => {
			const [, project = "", name = "", number] = /^(.+)\/(.+):(\d+)$/.exec(member) ?? [];
			return { project, function: name, version: Number(number) };
		});
	}

	/** Whether a version that hasn't failed is made of this source. */
	async usesSource(digest: Digest): Promise<boolean> {
		return (await this.#do("looking for a source", () => this.#redis.exists(keys.sourceUsers(digest)))) === 1;
	}

	/**
	 * The version for one invocation of a name, from memory for up to a second: what the selector leads to, `live` without one.
	 * @throws BerthError function_not_found, function_not_ready, function_build_failed, alias_not_found, version_not_found, version_not_ready, version_build_failed
	 */
	resolve(project: string, name: string, selector?: Selector): Promise<Version> {
		return this.#live.get(project, name, selector);
	}

	async getFunction(project: string, name: string): Promise<FunctionSummary | undefined> {
		return summaryOf(project, name, await this.#do(`reading ${name}`, () => this.#redis.hgetall(keys.function(project, name))));
	}

	/** All functions of a project, by name. */
	async listFunctions(project: string): Promise<readonly FunctionSummary[]> {
		const names = await this.#do("listing functions", () => this.#redis.smembers(keys.names(project)));
		const found = await Promise.all(names.sort().map((name) => this.getFunction(project, name)));
		return found.filter((summary) => summary !== undefined);
	}

	async getVersion(project: string, name: string, number: number): Promise<Version | undefined> {
		const fields = await this.#do(`reading ${name}:${number}`, () => this.#redis.hgetall(keys.version(project, name, number)));
		return versionOf(project, name, number, fields);
	}

	/** @throws BerthError function_not_found, version_not_found */
	async needVersion(project: string, name: string, number: number): Promise<Version> {
		const version = await this.getVersion(project, name, number);
		if (version !== undefined) return version;
		throw (await this.getFunction(project, name)) === undefined ? functionNotFound(name) : versionNotFound(name, number);
	}

	/** The numbers of all versions that a function has; none when there is no such function. */
	async numbersOf(project: string, name: string): Promise<ReadonlySet<number>> {
		const numbers = await this.#do(`listing versions of ${name}`, () => this.#redis.zrange(keys.numbers(project, name), "0", "-1"));
		return new Set(numbers.map(Number));
	}

	/** The newest hundred, newest first. @throws BerthError function_not_found */
	async listVersions(project: string, name: string): Promise<readonly Version[]> {
		const numbers = await this.#do(`listing versions of ${name}`, () =>
			this.#redis.zrevrange(keys.numbers(project, name), 0, VERSIONS_LISTED - 1),
		);
		if (numbers.length === 0) throw functionNotFound(name);
		const found = await Promise.all(numbers.map((number) => this.getVersion(project, name, Number(number))));
		return found.filter((version) => version !== undefined);
	}

	/** Forgets a function and its versions. @returns the sources that no version is made of any more; undefined when there was no such function */
	async deleteFunction(project: string, name: string): Promise<readonly Digest[] | undefined> {
		const [deleted, ...unused] = (await this.#do(`deleting ${name}`, () =>
			DELETE_FUNCTION.run(
				this.#redis,
				[keys.names(project), keys.function(project, name), keys.numbers(project, name), keys.changes, keys.unfinished],
				[name, versionPrefix(project, name), keys.sourceUsers("" as Digest), `${project}/${name}`],
			),
		)) as [number, ...Digest[]];
		this.#live.forget(`${project}/${name}`);
		return deleted === 1 ? unused : undefined;
	}

	/**
	 * Forgets a version that no alias leads to. @returns its source when no version is made of it any more
	 * @throws BerthError function_not_found, version_not_found, version_in_use
	 */
	async removeVersion(project: string, name: string, number: number): Promise<Digest | undefined> {
		const news = `${project}/${name}`;
		const [word, ...rest] = (await this.#do(`removing ${name}:${number}`, () =>
			REMOVE_VERSION.run(
				this.#redis,
				[keys.function(project, name), keys.numbers(project, name), keys.changes, keys.unfinished],
				[number, new Date().toISOString(), news, versionPrefix(project, name), keys.sourceUsers("" as Digest)],
			),
		)) as string[];
		this.#live.forget(news);
		if (word === "no_function") throw functionNotFound(name);
		if (word === "no_version") throw versionNotFound(name, number);
		if (word === "only") throw new BerthError("version_in_use", `${number} is the only version of ${name}: delete the function`);
		if (word === "in_use") {
			const aliases = rest.sort();
			throw new BerthError(
				"version_in_use",
				`version ${number} of ${name} is in use by ${aliases.join(" and ")}; move what leads there first`,
				{
					extra: { aliases },
				},
			);
		}
		return rest[0] as Digest | undefined;
	}

	/** The version when its build has ended, or as it is when the time is over; undefined when it was deleted. */
	async waitForBuild(version: Version, timeoutMs: number): Promise<Version | undefined> {
		const { project, function: name, number } = version;
		const giveUpAt = performance.now() + timeoutMs;
		for (;;) {
			const news = this.#newsOf(`${project}/${name}`, Math.min(LOOK_AGAIN_MS, giveUpAt - performance.now()));
			try {
				const current = await this.getVersion(project, name, number);
				const over = current === undefined || current.state === "ready" || current.state === "failed" || performance.now() >= giveUpAt;
				if (!over) {
					await news.arrived;
					continue;
				}
				// The news may still be on its way, and who waited invokes this version next.
				this.#live.forget(`${project}/${name}`);
				return current;
			} finally {
				news.stop();
			}
		}
	}

	/** Called with `project/name` of what changed, or undefined when anything may have. @returns how to stop */
	onChange(listener: (name: string | undefined) => void): () => void {
		return this.#changes.listen(listener);
	}

	/** Whether the durable Redis answers. @throws BerthError unavailable */
	async ping(): Promise<void> {
		await this.#do("asking the durable Redis", () => this.#redis.ping());
	}

	async close(): Promise<void> {
		await Promise.all(this.#owned.map(closeRedis));
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}

	async #sharesOf(project: string, name: string, selector: Selector): Promise<readonly Share[]> {
		if ("version" in selector) return [{ version: await this.#readyVersion(project, name, selector.version), percent: 100 }];
		for (let reads = 0; reads < READS; reads++) {
			const summary = await this.getFunction(project, name);
			if (summary === undefined) throw functionNotFound(name);
			const alias = summary.aliases.find((one) => one.name === selector.alias);
			if (alias === undefined) throw selector.alias === LIVE ? await this.#whyNotLive(summary) : aliasNotFound(name, selector.alias);
			const shares = await Promise.all(
				Object.entries(alias.weights).map(async ([number, percent]) => ({
					version: await this.getVersion(project, name, Number(number)),
					percent,
				})),
			);
			if (shares.every((share): share is Share => share.version !== undefined)) return shares;
		}
		throw new BerthError("unavailable", `${selector.alias} of ${name} moves too often to be read; try again`);
	}

	async #readyVersion(project: string, name: string, number: number): Promise<Version> {
		const version = await this.needVersion(project, name, number);
		if (version.state === "ready") return version;
		if (version.failure === undefined) throw new BerthError("version_not_ready", `version ${number} of ${name} is still being built`);
		const detail = `version ${number} of ${name} couldn't be built: ${version.failure.message}`;
		throw new BerthError("version_build_failed", detail, { extra: { version: number, failure: version.failure } });
	}

	/** Why a function has no version that answers: one is being built, or the last one failed. */
	async #whyNotLive({ project, name, latest }: FunctionSummary): Promise<BerthError> {
		const failure = (await this.getVersion(project, name, latest))?.failure;
		// One that was deployed before the latest may still be being built.
		const hasHope = failure === undefined || (await this.unfinished()).some((one) => one.project === project && one.function === name);
		const path = `GET /v1/functions/${name}/versions/${latest}`;
		if (hasHope) return new BerthError("function_not_ready", `version ${latest} of ${name} isn't ready; ${path} says how far it is`);
		const detail = `version ${latest} of ${name} couldn't be built: ${failure.message}`;
		return new BerthError("function_build_failed", detail, { extra: { version: latest, failure } });
	}

	async #setState(version: Version, state: VersionState, line: string, fields: Readonly<Record<string, unknown>>): Promise<boolean> {
		const { project, function: name, number, source } = version;
		const pairs = Object.entries(fields).flatMap(([field, value]) => [field, JSON.stringify(value)]);
		const done = await this.#do(`setting ${name}:${number} to ${state}`, () =>
			SET_STATE.run(
				this.#redis,
				[keys.function(project, name), keys.version(project, name, number), keys.changes, keys.unfinished, keys.sourceUsers(source.digest)],
				[number, state, new Date().toISOString(), `${project}/${name}`, line, ...pairs],
			),
		);
		return done === 1;
	}

	#newsOf(name: string, withinMs: number): { readonly arrived: Promise<void>; readonly stop: () => void } {
		const { promise: arrived, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, Math.max(0, withinMs));
		const unlisten = this.#changes.listen((changed) => {
			if (changed === undefined || changed === name) resolve();
		});
		const stop = () => {
			clearTimeout(timer);
			unlisten();
		};
		return { arrived, stop };
	}
}

/** A line of the log that a state's change leaves, whatever else the log has. */
function stateLine(state: VersionState, text: string): string {
	return JSON.stringify({ kind: "state", state, text: logTexts(text)[0] ?? state } satisfies BuildLogLine);
}

function endLine(end: BuildEnd): string {
	if (end.state === "ready") return stateLine("ready", `ready in ${Math.round(end.build.durationMs)} ms: ${end.image.digest}`);
	return stateLine("failed", `failed (${end.failure.phase}): ${end.failure.message}`);
}

function unrecovered(): BerthError {
	const detail = "a new version could take the number of one that is only in the artifact store; run `berth recover` first";
	return new BerthError("store_unrecovered", detail);
}

function noVolume(name: string): BerthError {
	const message = `there is no volume ${JSON.stringify(name)} in this project; make it first, with PUT /v1/volumes/${name}`;
	return new BerthError("volume_not_found", `volumes: ${message}`, { issues: [{ field: "volumes", message }] });
}

function noNetwork({ network }: Manifest): BerthError {
	const name = typeof network === "object" ? network.join : network;
	const message = `there is no network ${JSON.stringify(name)} in this project; make it first, with PUT /v1/networks/${name}`;
	return new BerthError("network_not_found", `network.join: ${message}`, { issues: [{ field: "network.join", message }] });
}
