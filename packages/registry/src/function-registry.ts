import { createHash } from "node:crypto";
import {
	BerthError,
	type BuildFailure,
	type BuildReport,
	type FunctionSummary,
	type ImageReference,
	type Manifest,
	type SourceReference,
	type Version,
	type VersionState,
} from "@berth/contracts";
import { openRedis, orUnavailable, type Redis } from "@berth/redis";
import { Changes } from "./changes.js";
import { keys } from "./keys.js";
import { type RegistryScripts, withScripts } from "./scripts.js";

/** A resolved name may be this old when the news of its change got lost, milliseconds. */
const RESOLVED_FOR_MS = 1000;
/** How often a wait looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;
const VERSIONS_LISTED = 100;

/** What a build found. */
export type BuildEnd =
	| { readonly state: "ready"; readonly image: ImageReference; readonly build: BuildReport }
	| { readonly state: "failed"; readonly failure: BuildFailure; readonly build: BuildReport };

interface Resolved {
	readonly version: Version;
	readonly untilMs: number;
}

/**
 * Functions and their versions, in the durable Redis. Every change is one script; whoever reads one
 * back after it sees it. All methods throw BerthError `unavailable` while Redis is away.
 */
export class FunctionRegistry {
	readonly #redis: Redis & RegistryScripts;
	readonly #changes: Changes;
	readonly #resolved = new Map<string, Resolved>();

	private constructor(redis: Redis & RegistryScripts, changes: Changes) {
		this.#redis = redis;
		this.#changes = changes;
		changes.listen((name) => {
			if (name === undefined) this.#resolved.clear();
			else this.#resolved.delete(name);
		});
	}

	static async open(url: string): Promise<FunctionRegistry> {
		return new FunctionRegistry(withScripts(await openRedis(url, "command")), await Changes.open(url));
	}

	/**
	 * A new version, `queued`; or the live one, `unchanged`, when it is the latest and was made of this
	 * very source and manifest.
	 */
	async createVersion(
		project: string,
		name: string,
		manifest: Manifest,
		source: SourceReference,
	): Promise<{ version: Version; unchanged: boolean }> {
		const createdAt = new Date().toISOString();
		const base = JSON.stringify({ manifest, source, createdAt });
		const fingerprint = createHash("sha256")
			.update(canonical({ manifest, digest: source.digest, filename: source.filename, kind: source.kind }))
			.digest("hex");
		return await orUnavailable(`deploying ${name}`, async () => {
			const [number, unchanged] = await this.#redis.berthCreateVersion(
				keys.names(project),
				keys.function(project, name),
				keys.numbers(project, name),
				keys.counter(project, name),
				name,
				base,
				fingerprint,
				createdAt,
				versionPrefix(project, name),
			);
			const version = await this.getVersion(project, name, number);
			if (version === undefined) throw new BerthError("function_not_found", `${name} was deleted while it was deployed; deploy it again`);
			return { version, unchanged: unchanged === 1 };
		});
	}

	/** @returns false when the version is gone or final already: the build's result is void then */
	setBuilding(version: Version): Promise<boolean> {
		return this.#setState(version, "building", {});
	}

	/** Ends a build; a ready version becomes `live` unless a newer one is. */
	endBuild(version: Version, end: BuildEnd): Promise<boolean> {
		const { state, ...fields } = end;
		return this.#setState(version, state, { ...fields, finishedAt: new Date().toISOString() });
	}

	/** The version that answers for a name, from memory for up to a second. @throws BerthError function_not_found, function_not_ready */
	async resolve(project: string, name: string): Promise<Version> {
		const known = this.#resolved.get(`${project}/${name}`);
		if (known !== undefined && known.untilMs > performance.now()) return known.version;
		const summary = await this.getFunction(project, name);
		if (summary === undefined) throw functionNotFound(name);
		const version = summary.live === undefined ? undefined : await this.getVersion(project, name, summary.live);
		if (version === undefined) {
			const detail = `version ${summary.latest} of ${name} isn't ready; GET /v1/functions/${name}/versions/${summary.latest} says how far it is`;
			throw new BerthError("function_not_ready", detail);
		}
		this.#resolved.set(`${project}/${name}`, { version, untilMs: performance.now() + RESOLVED_FOR_MS });
		return version;
	}

	async getFunction(project: string, name: string): Promise<FunctionSummary | undefined> {
		const fields = await orUnavailable(`reading ${name}`, () => this.#redis.hgetall(keys.function(project, name)));
		return summaryOf(project, name, fields);
	}

	/** All functions of a project, by name. */
	async listFunctions(project: string): Promise<readonly FunctionSummary[]> {
		return await orUnavailable("listing functions", async () => {
			const names = (await this.#redis.smembers(keys.names(project))).sort();
			const found = await Promise.all(names.map((name) => this.getFunction(project, name)));
			return found.filter((summary) => summary !== undefined);
		});
	}

	async getVersion(project: string, name: string, number: number): Promise<Version | undefined> {
		const fields = await orUnavailable(`reading ${name}:${number}`, () => this.#redis.hgetall(keys.version(project, name, number)));
		return versionOf(project, name, number, fields);
	}

	/** The newest hundred, newest first. @throws BerthError function_not_found */
	async listVersions(project: string, name: string): Promise<readonly Version[]> {
		return await orUnavailable(`listing versions of ${name}`, async () => {
			const numbers = await this.#redis.zrevrange(keys.numbers(project, name), 0, VERSIONS_LISTED - 1);
			if (numbers.length === 0) throw functionNotFound(name);
			const found = await Promise.all(numbers.map((number) => this.getVersion(project, name, Number(number))));
			return found.filter((version) => version !== undefined);
		});
	}

	/** Forgets a function and its versions. @returns whether there was one */
	async deleteFunction(project: string, name: string): Promise<boolean> {
		return await orUnavailable(`deleting ${name}`, async () => {
			const deleted = await this.#redis.berthDeleteFunction(
				keys.names(project),
				keys.function(project, name),
				keys.numbers(project, name),
				keys.changes,
				name,
				versionPrefix(project, name),
				`${project}/${name}`,
			);
			this.#resolved.delete(`${project}/${name}`);
			return deleted === 1;
		});
	}

	/** The version when its build has ended, or as it is when the time is over; undefined when it was deleted. */
	async waitForBuild(version: Version, timeoutMs: number): Promise<Version | undefined> {
		const { project, function: name, number } = version;
		const giveUpAt = performance.now() + timeoutMs;
		for (;;) {
			const news = this.#newsOf(`${project}/${name}`, Math.min(LOOK_AGAIN_MS, giveUpAt - performance.now()));
			const current = await this.getVersion(project, name, number);
			const over = current === undefined || current.state === "ready" || current.state === "failed" || performance.now() >= giveUpAt;
			if (over) {
				news.stop();
				return current;
			}
			await news.arrived;
		}
	}

	/** Called with `project/name` of what changed, or undefined when anything may have. @returns how to stop */
	onChange(listener: (name: string | undefined) => void): () => void {
		return this.#changes.listen(listener);
	}

	/** Whether the durable Redis answers. @throws BerthError unavailable */
	async ping(): Promise<void> {
		await orUnavailable("durable Redis", () => this.#redis.ping());
	}

	async close(): Promise<void> {
		this.#changes.close();
		this.#redis.disconnect();
	}

	async #setState(version: Version, state: VersionState, fields: Readonly<Record<string, unknown>>): Promise<boolean> {
		const { project, function: name, number } = version;
		const pairs = Object.entries(fields).flatMap(([field, value]) => [field, JSON.stringify(value)]);
		const done = await orUnavailable(`setting ${name}:${number} to ${state}`, () =>
			this.#redis.berthSetState(
				keys.function(project, name),
				keys.version(project, name, number),
				keys.changes,
				number,
				state,
				new Date().toISOString(),
				`${project}/${name}`,
				...pairs,
			),
		);
		return done === 1;
	}

	#newsOf(name: string, withinMs: number): { readonly arrived: Promise<void>; readonly stop: () => void } {
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, Math.max(0, withinMs));
		const unlisten = this.#changes.listen((changed) => {
			if (changed === undefined || changed === name) resolve();
		});
		const stop = () => {
			clearTimeout(timer);
			unlisten();
		};
		return { arrived: promise.finally(stop), stop };
	}
}

/** The one sentence for a name that nobody deployed. */
export function functionNotFound(name: string): BerthError {
	return new BerthError("function_not_found", `there is no function ${JSON.stringify(name)}; GET /v1/functions lists those there are`);
}

function versionPrefix(project: string, name: string): string {
	return keys.version(project, name, 0).slice(0, -1);
}

/** JSON with sorted keys: the same for equal values. */
function canonical(value: unknown): string {
	return JSON.stringify(value, (_key, inner: unknown) =>
		typeof inner === "object" && inner !== null && !Array.isArray(inner)
			? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
			: inner,
	);
}

type Fields = Readonly<Record<string, string>>;

function summaryOf(project: string, name: string, fields: Fields): FunctionSummary | undefined {
	const { live, latest, createdAt, updatedAt } = fields;
	if (latest === undefined || createdAt === undefined || updatedAt === undefined) return undefined;
	return { project, name, ...(live === undefined ? {} : { live: Number(live) }), latest: Number(latest), createdAt, updatedAt };
}

function versionOf(project: string, name: string, number: number, fields: Fields): Version | undefined {
	const { base, state, fingerprint: _, ...rest } = fields;
	if (base === undefined || state === undefined) return undefined;
	const parsed = Object.fromEntries(Object.entries(rest).map(([field, value]) => [field, JSON.parse(value) as unknown]));
	return {
		project,
		function: name,
		number,
		state: state as VersionState,
		...(JSON.parse(base) as Pick<Version, "manifest" | "source" | "createdAt">),
		...parsed,
	};
}
