import { BerthError, MOST_VOLUMES, type Volume, volumeIdOf } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import { removeUnused } from "./resource-index.js";
import { usersByName, usesOf } from "./resource-users.js";
import { BEGIN_REMOVAL, BEGIN_VOLUME, FORGET_UNMADE, VOLUME_READY } from "./volume-scripts.js";

/** As it is kept; the rest follows from its name and from versions. */
type VolumeRecord = Pick<Volume, "sizeMiB" | "node" | "state" | "createdAt">;

/**
 * The named volumes of projects, in the durable Redis. A node makes and removes them: what is on record first says that it is about to,
 * so that whatever is cut short is there to be asked for again.
 */
export class Volumes {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** By name. */
	async list(project: string): Promise<readonly Volume[]> {
		const [found, uses] = await guarded(this.#redis, "listing volumes", () =>
			Promise.all([
				this.#redis.hgetall(keys.volumes(project)),
				usesOf(this.#redis, project, ({ volumes = [] }) => volumes.map(({ name }) => name)),
			]),
		);
		const usersOf = usersByName(uses);
		return Object.entries(found)
			.map(([name, text]) => ({ name, id: volumeIdOf(project, name), ...recordOf(text), functions: usersOf(name) }))
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** @throws BerthError volume_not_found */
	async get(project: string, name: string): Promise<Volume> {
		const volume = (await this.list(project)).find((one) => one.name === name);
		if (volume === undefined) throw volumeNotFound(name);
		return volume;
	}

	/** Puts on record that it is about to be made. @returns what is on record. @throws BerthError project_not_found when that was removed; invalid_request when it has as many as it may */
	async begin(project: string, name: string, { sizeMiB, node }: Pick<Volume, "sizeMiB" | "node">): Promise<VolumeRecord> {
		const record: VolumeRecord = { sizeMiB, node, state: "making", createdAt: new Date().toISOString() };
		const text = await guarded(this.#redis, `making the volume ${name}`, () =>
			BEGIN_VOLUME.run(this.#redis, [keys.volumes(project), keys.removedProjects], [name, JSON.stringify(record), MOST_VOLUMES, project]),
		);
		if (text === "gone") throw projectNotFound(project);
		if (text === "full")
			throw new BerthError("invalid_request", `this project has ${MOST_VOLUMES} volumes, and no more are possible; remove one`);
		return recordOf(text as string);
	}

	/** Its node has made it. @throws BerthError volume_not_found when it was removed meanwhile */
	async made(project: string, name: string): Promise<void> {
		const done = await guarded(this.#redis, `making the volume ${name}`, () =>
			VOLUME_READY.run(this.#redis, [keys.volumes(project)], [name]),
		);
		if (done === 0) throw volumeNotFound(name);
	}

	/** Its node refused to make it. */
	async notMade(project: string, name: string): Promise<void> {
		await guarded(this.#redis, `forgetting the volume ${name}`, () => FORGET_UNMADE.run(this.#redis, [keys.volumes(project)], [name]));
	}

	/** Puts on record that it is about to be removed. @throws BerthError volume_not_found, volume_in_use */
	async beginRemoval(project: string, name: string): Promise<void> {
		const { word, functions } = await removeUnused(this.#redis, project, "volume", name, (users) =>
			BEGIN_REMOVAL.run(this.#redis, [keys.volumes(project), ...users], [name, project]),
		);
		if (word === "none") throw volumeNotFound(name);
		if (word === "ok") return;
		throw new BerthError("volume_in_use", `versions of ${functions.join(", ")} have ${name}; delete those, or their functions`, {
			extra: { functions },
		});
	}

	/** Its node has removed it. */
	async removed(project: string, name: string): Promise<void> {
		await guarded(this.#redis, `removing the volume ${name}`, () => this.#redis.hdel(keys.volumes(project), name));
	}
}

function recordOf(text: string): VolumeRecord {
	return JSON.parse(text) as VolumeRecord;
}

function volumeNotFound(name: string): BerthError {
	return new BerthError("volume_not_found", `there is no volume ${JSON.stringify(name)} in this project`);
}
