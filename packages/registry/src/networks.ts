import { BerthError, joinedNetwork, MOST_NETWORKS, type Network } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { projectNotFound } from "./absent.js";
import { keys } from "./keys.js";
import { MAKE_NETWORK, REMOVE_NETWORK } from "./network-scripts.js";
import { removeUnused } from "./resource-index.js";
import { usersByName, usesOf } from "./resource-users.js";

/** The named networks of projects, in the durable Redis. Which functions are on them is read from their versions. */
export class Networks {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** By name. */
	async list(project: string): Promise<readonly Network[]> {
		const [found, uses] = await guarded(this.#redis, "listing networks", () =>
			Promise.all([
				this.#redis.hgetall(keys.networks(project)),
				usesOf(this.#redis, project, ({ network }) => [joinedNetwork(network)].filter((name) => name !== undefined)),
			]),
		);
		const usersOf = usersByName(uses);
		return Object.entries(found)
			.map(([name, createdAt]) => ({ name, createdAt, functions: usersOf(name) }))
			.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** @returns whether there was none of that name @throws BerthError project_not_found when that was removed; invalid_request when it has as many as it may */
	async make(project: string, name: string): Promise<boolean> {
		const made = await guarded(this.#redis, `making the network ${name}`, () =>
			MAKE_NETWORK.run(
				this.#redis,
				[keys.networks(project), keys.removedProjects],
				[name, new Date().toISOString(), MOST_NETWORKS, project],
			),
		);
		if (made === "gone") throw projectNotFound(project);
		if (made === "full")
			throw new BerthError("invalid_request", `this project has ${MOST_NETWORKS} networks, and no more are possible; remove one`);
		return made === "made";
	}

	/** @throws BerthError network_not_found, network_in_use */
	async remove(project: string, name: string): Promise<void> {
		const { word, functions } = await removeUnused(this.#redis, project, "network", name, (users) =>
			REMOVE_NETWORK.run(this.#redis, [keys.networks(project), ...users], [name, project]),
		);
		if (word === "none") throw new BerthError("network_not_found", `there is no network ${JSON.stringify(name)} in this project`);
		if (word === "ok") return;
		throw new BerthError("network_in_use", `versions of ${functions.join(", ")} are on ${name}; delete those, or their functions`, {
			extra: { functions },
		});
	}
}
