import {
	BerthError,
	type BuildReport,
	type Digest,
	type FunctionSummary,
	type ImageReference,
	type Manifest,
	type Quotas,
	type Selector,
	type SourceReference,
	type Version,
	type VersionCopy,
} from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis } from "@berth/redis";
import { functionNotFound, versionNotFound } from "./absent.js";
import { Aliases } from "./aliases.js";
import { BuildLogs } from "./build-logs.js";
import { type BuildEnd, BuildStates, stateLine } from "./build-states.js";
import { Changes } from "./changes.js";
import { keys } from "./keys.js";
import { LiveVersions } from "./live-versions.js";
import { Networks } from "./networks.js";
import { createVersion, type DeployTerms, type ImportedVersion, importVersion } from "./new-versions.js";
import { ProjectQuotas } from "./quotas.js";
import { Rebases } from "./rebases.js";
import { deleteFunction, removeVersion } from "./removals.js";
import { Resolution } from "./resolution.js";
import { countAnew } from "./resource-index.js";
import { StoreState, unrecovered } from "./store-state.js";
import { TransferRecords } from "./transfer-records.js";
import { summaryOf, versionOf } from "./version-fields.js";
import { SET_COPY } from "./version-scripts.js";
import { Volumes } from "./volumes.js";

const VERSIONS_LISTED = 100;

/** Names a version. */
export interface VersionName {
	readonly project: string;
	readonly function: string;
	readonly version: number;
}

/**
 * Functions, their versions and aliases, in the durable Redis. Every change is one script; whoever reads one
 * back after it sees it. All methods throw BerthError `unavailable` while Redis is away.
 */
export class FunctionRegistry {
	readonly aliases: Aliases;
	readonly networks: Networks;
	readonly volumes: Volumes;
	readonly transfers: TransferRecords;
	readonly store: StoreState;
	readonly logs: BuildLogs;
	readonly rebases: Rebases;
	readonly quotas: ProjectQuotas;
	readonly #redis: Redis;
	readonly #owned: readonly Redis[];
	readonly #changes: Changes;
	readonly #live: LiveVersions;
	readonly #builds: BuildStates;

	private constructor(owned: readonly [Redis, Redis], changes: Changes, logs: BuildLogs, quotas: ProjectQuotas) {
		this.logs = logs;
		this.quotas = quotas;
		this.#redis = owned[0];
		this.#owned = owned;
		this.#changes = changes;
		this.#builds = new BuildStates(owned[0], changes, quotas.defaults);
		const resolution = new Resolution(this);
		this.#live = new LiveVersions(changes, (project, name, selector) => resolution.sharesOf(project, name, selector));
		this.networks = new Networks(owned[0]);
		this.volumes = new Volumes(owned[0]);
		this.transfers = new TransferRecords(owned[0]);
		this.store = new StoreState(owned[0]);
		this.rebases = new Rebases({
			redis: owned[0],
			getFunction: (project, name) => this.getFunction(project, name),
			getVersion: (project, name, number) => this.getVersion(project, name, number),
			firstLine: stateLine("queued", "queued"),
			unrecovered,
		});
		this.aliases = new Aliases(owned[0], (key) => this.#live.forget(key));
	}

	/** @param url of the durable Redis. @param defaults what bounds projects for which nothing else was set. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog, defaults: Quotas = {}): Promise<FunctionRegistry> {
		const owned = await openRedis([
			{ url, use: "command", name: "registry", log },
			{ url, use: "subscriber", name: "registry-changes", log },
		]);
		const quotas = await ProjectQuotas.open(...owned, defaults, log);
		return new FunctionRegistry(owned, await Changes.open(owned[1], log), await BuildLogs.open(...owned, log), quotas);
	}

	/** To be called when a gateway starts: one of an older release may have been here, as `countAnew` says. */
	async countAnew(): Promise<void> {
		await countAnew(this.#redis);
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
		how: DeployTerms = {},
	): Promise<{ version: Version; unchanged: boolean }> {
		const { number, unchanged } = await createVersion(this.#redis, {
			project,
			name,
			manifest,
			source,
			...how,
			quotas: this.quotas.defaults,
		});
		const version = await this.getVersion(project, name, number);
		if (version === undefined) throw new BerthError("function_not_found", `${name} was deleted while it was deployed; deploy it again`);
		return { version, unchanged };
	}

	/** @returns false when the version is gone or final already: the build's result is void then */
	setBuilding(version: Version): Promise<boolean> {
		return this.#builds.begin(version);
	}

	/** Ends a build; a ready version takes over the aliases that follow, unless they lead to a newer one. @returns false when the version is gone or final already. @throws BerthError quota_exceeded for one that is ready and too much for its project's images */
	endBuild(version: Version, end: BuildEnd): Promise<boolean> {
		return this.#builds.end(version, end);
	}

	/** The version when its build has ended, or as it is when the time is over; undefined when it was deleted. */
	async waitForBuild(version: Version, timeoutMs: number): Promise<Version | undefined> {
		const { project, function: name, number } = version;
		const current = await this.#builds.ended(version, timeoutMs, () => this.getVersion(project, name, number));
		// The news may still be on its way, and who waited invokes this version next.
		this.#live.forget(`${project}/${name}`);
		return current;
	}

	/** Versions that are queued or being built, in no order. */
	async unfinished(): Promise<readonly VersionName[]> {
		const members = await this.#do("listing builds", () => this.#redis.smembers(keys.unfinished));
		return members.map((member) => {
			const [, project = "", name = "", number] = /^(.+)\/(.+):(\d+)$/.exec(member) ?? [];
			return { project, function: name, version: Number(number) };
		});
	}

	/** A number for a version that is imported: nobody else gets it. */
	reserveNumber(project: string, name: string): Promise<number> {
		return this.#do(`numbering a version of ${name}`, () => this.#redis.incr(keys.counter(project, name)));
	}

	/**
	 * Puts a version on record that was built before or elsewhere: `ready`, and where the aliases lead that follow unless a newer one is.
	 * @param how `again`: it was on record once, and no quota keeps it from coming back
	 * @returns false when it is on record already. @throws BerthError quota_exceeded
	 */
	async importVersion(version: ImportedVersion, image: ImageReference, build: BuildReport, how?: "again"): Promise<boolean> {
		const isNew = await importVersion(this.#redis, version, image, build, how === "again" ? undefined : this.quotas.defaults);
		this.#live.forget(`${version.project}/${version.function}`);
		return isNew;
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

	/** Functions of which some version had sandboxes ready always. */
	async warmFunctions(): Promise<readonly { readonly project: string; readonly function: string }[]> {
		const members = await this.#do("listing functions that have sandboxes ready", () => this.#redis.smembers(keys.warmFunctions));
		return members.map((member) => {
			const [project = "", name = ""] = member.split("/");
			return { project, function: name };
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
		try {
			return await deleteFunction(this.#redis, project, name);
		} finally {
			this.#live.forget(`${project}/${name}`);
		}
	}

	/**
	 * Forgets a version that no alias leads to. @returns its source when no version is made of it any more
	 * @throws BerthError function_not_found, version_not_found, version_in_use
	 */
	async removeVersion(project: string, name: string, number: number): Promise<Digest | undefined> {
		try {
			return await removeVersion(this.#redis, project, name, number);
		} finally {
			this.#live.forget(`${project}/${name}`);
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
}
