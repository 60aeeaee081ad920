import { BerthError, DEFAULT_PROJECT, MOST_PROJECTS, type Project } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import { MAKE_PROJECT, REMOVE_PROJECT } from "./project-scripts.js";

/** How long it is believed that a project is there without asking again, milliseconds. */
const BELIEVED_FOR_MS = 1000;

/** Keys that are looked through in one go. */
const SCANNED = 1000;

/** The projects there are, in the durable Redis. The first one is always there. */
export class Projects {
	readonly #redis: Redis;
	readonly #there = new Map<string, number>();

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** By name. @throws BerthError unavailable */
	async list(): Promise<readonly Project[]> {
		const found = await guarded(this.#redis, "listing projects", () => this.#redis.hgetall(keys.projects));
		return [{ name: DEFAULT_PROJECT }, ...Object.entries(found).map(([name, createdAt]) => ({ name, createdAt }))].sort((a, b) =>
			a.name < b.name ? -1 : 1,
		);
	}

	/** @throws BerthError project_not_found, unavailable */
	async get(name: string): Promise<Project> {
		const createdAt = await guarded(this.#redis, "looking for the project", () => this.#redis.hget(keys.projects, name));
		if (createdAt === null && name !== DEFAULT_PROJECT) throw projectNotFound(name);
		return createdAt === null ? { name } : { name, createdAt };
	}

	/** Whether there is one of that name; what was found is believed for a second. @throws BerthError unavailable */
	async has(name: string): Promise<boolean> {
		if (name === DEFAULT_PROJECT || (this.#there.get(name) ?? 0) > performance.now()) return true;
		const there = await guarded(this.#redis, "looking for the project", () => this.#redis.hexists(keys.projects, name));
		if (there === 1) this.#there.set(name, performance.now() + BELIEVED_FOR_MS);
		return there === 1;
	}

	/** One was removed, somewhere: each is looked for again. */
	disbelieve(): void {
		this.#there.clear();
	}

	/** @returns whether there was none of that name. @throws BerthError invalid_name for one that was removed; invalid_request when there are as many as may be; unavailable */
	async make(name: string): Promise<boolean> {
		if (name === DEFAULT_PROJECT) return false;
		const made = await makeProject(this.#redis, name);
		if (made === "removed") {
			const message = `${name} was a project that was removed, and what is kept of it for a while (records, logs) would be this one's: choose another name`;
			throw new BerthError("invalid_name", message, { issues: [{ field: "name", message }] });
		}
		if (made === "full")
			throw new BerthError("invalid_request", `there are ${MOST_PROJECTS} projects, and no more are possible; remove one`);
		return made === "made";
	}

	/** Takes its API keys, logins and secrets along; its counters go with `removeLeftCounters`. @throws BerthError project_not_found, project_in_use, unavailable */
	async remove(name: string): Promise<void> {
		if (name === DEFAULT_PROJECT) throw new BerthError("project_in_use", `${name} is the first project, which stays`);
		const own = [
			keys.projectKeys,
			keys.names,
			keys.networks,
			keys.volumes,
			keys.packageRegistries,
			keys.callbackSecret,
			keys.audit,
			keys.heldLayers,
			keys.secrets,
		].map((of) => of(name));
		const word = await guarded(this.#redis, `removing the project ${name}`, () =>
			REMOVE_PROJECT.run(
				this.#redis,
				[keys.projects, keys.removedProjects, keys.apiKeys, ...own],
				[name, new Date().toISOString(), keys.revocations, keys.quotas, keys.countedProjects, keys.leftCounters],
			),
		);
		this.#there.delete(name);
		if (word === "none") throw projectNotFound(name);
		if (word !== "ok") throw new BerthError("project_in_use", `the project ${name} has ${String(word)}; remove those first`);
	}

	/** Counters of projects that were removed: all keys are looked through for those. May be done any number of times. @throws BerthError unavailable */
	async removeLeftCounters(): Promise<void> {
		await guarded(this.#redis, "removing what projects have counted that are gone", async () => {
			for (const name of await this.#redis.smembers(keys.leftCounters)) {
				await this.#removeCounters(name);
				await this.#redis.srem(keys.leftCounters, name);
			}
		});
	}

	/** Numbers of deleted functions aren't used again, and no function of a removed project's name is ever made: which there were is written down nowhere else. */
	async #removeCounters(project: string): Promise<void> {
		let cursor = "0";
		do {
			const [next, found] = await this.#redis.scan(cursor, "MATCH", keys.counter(project, "*"), "COUNT", SCANNED);
			if (found.length > 0) await this.#redis.unlink(...found);
			cursor = next;
		} while (cursor !== "0");
	}
}

/** Makes one unless it is there, or was removed. @returns made, there, removed or full */
export function makeProject(redis: Redis, name: string): Promise<unknown> {
	return guarded(redis, `making the project ${name}`, () =>
		MAKE_PROJECT.run(redis, [keys.projects, keys.removedProjects], [name, new Date().toISOString(), MOST_PROJECTS]),
	);
}
