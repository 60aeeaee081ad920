import type { BerthError, Digest, FunctionSummary, Manifest, OutdatedVersion, Version } from "@berth/contracts";
import { guarded, LuaScript, type Redis } from "@berth/redis";
import { functionNotFound } from "./absent.js";
import { keys, versionPrefix } from "./keys.js";
import { CREATE_REBASED } from "./version-scripts.js";

/** KEYS bases. ARGV runtimes, each with its base. Also while memory is short: nothing is done before. */
const SAY_BASES = new LuaScript(`#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], unpack(ARGV))`);

/** What rebases need of versions: how they are read, what their log begins with, what is said while the store is lost. */
export interface RebasesOptions {
	readonly redis: Redis;
	readonly getFunction: (project: string, name: string) => Promise<FunctionSummary | undefined>;
	readonly getVersion: (project: string, name: string, number: number) => Promise<Version | undefined>;
	readonly firstLine: string;
	readonly unrecovered: () => BerthError;
}

/** Which versions answer on a base that new images don't get any more, and new versions of them. */
export class Rebases {
	readonly #options: RebasesOptions;

	constructor(options: RebasesOptions) {
		this.#options = options;
	}

	/** Says which base images of each runtime get from now on. Nothing is written where it is said already: a worker starts while no writes are taken, too. */
	async announce(bases: Readonly<Record<string, Digest>>): Promise<void> {
		const { redis } = this.#options;
		await guarded(redis, "recording the bases", async () => {
			const said = await redis.hgetall(keys.bases);
			if (Object.entries(bases).every(([runtime, digest]) => said[runtime] === digest)) return;
			await SAY_BASES.run(redis, [keys.bases], Object.entries(bases).flat());
		});
	}

	/** The versions of a function that an alias leads to and whose base isn't the one of now; ascending. */
	async outdated({ project, name, aliases }: FunctionSummary): Promise<readonly OutdatedVersion[]> {
		const { redis, getVersion } = this.#options;
		const current = await guarded(redis, "reading the bases", () => redis.hgetall(keys.bases));
		const numbers = [...new Set(aliases.flatMap(({ weights }) => Object.keys(weights)))].map(Number).sort((a, b) => a - b);
		const versions = await Promise.all(numbers.map((number) => getVersion(project, name, number)));
		return versions.flatMap((version) => {
			const base = version?.image?.base.digest;
			const now = version && (current[version.manifest.runtime] as Digest | undefined);
			return version === undefined || base === undefined || now === undefined || base === now
				? []
				: [{ version: version.number, base, current: now }];
		});
	}

	/**
	 * Versions on the bases of now, queued, for the outdated ones of a function; they take the places of those in its aliases when they
	 * are ready. Those that are under way already are among them. None is made when one of them isn't permitted.
	 * @param permit throws when a version like this may not be deployed any more. @throws BerthError function_not_found, store_unrecovered; what permit throws
	 */
	async create(project: string, name: string, permit: (manifest: Manifest) => void = () => undefined): Promise<readonly Version[]> {
		const summary = await this.#options.getFunction(project, name);
		if (summary === undefined) throw functionNotFound(name);
		const numbers = (await this.outdated(summary)).map(({ version }) => version);
		const found = await Promise.all(numbers.map((number) => this.#options.getVersion(project, name, number)));
		const versions = found.filter((version) => version !== undefined);
		for (const { manifest } of versions) permit(manifest);
		const made: Version[] = [];
		for (const version of versions) {
			const rebased = await this.#createOne(version);
			if (rebased !== undefined) made.push(rebased);
		}
		return made;
	}

	/** @returns undefined when the version was removed meanwhile */
	async #createOne({ project, function: name, number: from, manifest, source }: Version): Promise<Version | undefined> {
		const { redis, getVersion, firstLine, unrecovered } = this.#options;
		const createdAt = new Date().toISOString();
		const [number] = (await guarded(redis, `rebasing ${name}:${from}`, () =>
			CREATE_REBASED.run(
				redis,
				[
					keys.function(project, name),
					keys.numbers(project, name),
					keys.counter(project, name),
					keys.unfinished,
					keys.sourceUsers(source.digest),
					keys.store,
				],
				[
					from,
					JSON.stringify({ manifest, source, createdAt, rebasedFrom: from }),
					createdAt,
					versionPrefix(project, name),
					`${project}/${name}`,
					firstLine,
				],
			),
		)) as [number] | [];
		if (number === undefined) throw unrecovered();
		return number === 0 ? undefined : await getVersion(project, name, number);
	}
}
