import { setTimeout as pause } from "node:timers/promises";
import type { Cluster } from "../../harness/cluster.js";
import { eventually } from "../../harness/eventually.js";
import { freshName } from "../../harness/functions.js";
import { scrape } from "../../harness/metrics.js";
import type { Stack } from "../../harness/stack.js";
import type { Witness } from "../../harness/witness.js";
import { recordOf, sourceOf } from "../delivery/asking.js";
import type { History, Lane, Recorded, Totals, Witnessed } from "../delivery/history.js";
import { LoadClient, type Seen } from "./clients.js";
import { awaitWork, Faults, type Tally } from "./faults.js";
import { type PlanBounds, planOf, stepsOf } from "./plan.js";

/** For everything that was accepted to be over: retries, and the leases of what was killed. */
const OVER_MS = 120_000;
/** Records that are read at the same time. */
const READERS = 16;
/** Steps of a client before it begins again with the first. */
const STEPS = 500;

/** How a round goes. */
export interface RoundOptions extends PlanBounds {
	readonly seed: number;
	readonly clients: number;
	/** Clients go on until they were told of so many, if the faults are over sooner. */
	readonly leastAcknowledged: number;
}

/** Rounds of faults and load against one cluster, each of which ends when nothing goes on any more. */
export class Rounds {
	readonly #cluster: Cluster;
	readonly #witness: Witness;
	readonly #name: string;
	readonly #faults: Faults;
	#rounds = 0;

	private constructor(cluster: Cluster, witness: Witness, name: string) {
		this.#cluster = cluster;
		this.#witness = witness;
		this.#name = name;
		this.#faults = new Faults(cluster);
	}

	/** @param cluster one whose machines were given the witness */
	static async of(cluster: Cluster, witness: Witness): Promise<Rounds> {
		const name = freshName("faulty");
		const manifest = { binds: ["witness"], concurrency: 16, memoryMiB: 64, timeoutMs: 10_000 };
		const rounds = new Rounds(cluster, witness, name);
		// On a machine that is busy a connection to the bucket may not be made in time.
		await eventually(() => rounds.#first.client.deploy(name, { source: sourceOf(witness.path, 1), ...manifest }), OVER_MS);
		await awaitWork(cluster, name);
		return rounds;
	}

	get #first(): Stack {
		return this.#cluster.gateways[0] as Stack;
	}

	get tally(): Tally {
		return this.#faults.tally;
	}

	/** @returns what clients saw of it, from a cluster in which nothing went on to one in which nothing does */
	async run({ seed, clients, leastAcknowledged, ...bounds }: RoundOptions, say: (text: string) => void): Promise<History> {
		const { gateways } = this.#cluster;
		const name = `r${this.#rounds++}`;
		const seen: Seen = { asked: [], records: [] };
		let over = false;
		const load = Array.from({ length: clients }, (_, n) => {
			const client = new LoadClient({ gateways, name: this.#name }, `${name}-c${n}`, seen);
			return client.run(stepsOf(seed + n, gateways.length, STEPS), () => over);
		});
		try {
			await this.#faults.carryOut(planOf(seed, bounds), say);
			while (acknowledgedIn(seen) < leastAcknowledged) await pause(100);
		} finally {
			over = true;
			await Promise.all(load);
		}
		await awaitWork(this.#cluster, this.#name);
		const records = [...seen.records, ...(await this.#end(seen))];
		const totals = await this.#totals();
		const witnessed = this.#witness
			.taken()
			.map((line) => JSON.parse(line) as Witnessed)
			.filter(({ token }) => token !== "ready");
		return { asked: seen.asked, records, witnessed, totals, killed: true, unattended: true };
	}

	/** What every gateway says in the end of all that somebody has an id of. What is never settled is the checker's to find. */
	async #end({ asked }: Seen): Promise<readonly Recorded[]> {
		const ids = [...new Set(asked.flatMap(({ told }) => ("id" in told ? [told.id] : [])))];
		const [first, ...others] = [this.#first, ...this.#cluster.gateways.slice(1)];
		const until = performance.now() + OVER_MS;
		const settled = async (id: string): Promise<Recorded | undefined> => {
			for (;;) {
				const record = await eventually(() => recordOf(first.client, id), OVER_MS);
				if (record === undefined || record.state === "settled" || performance.now() > until) return record;
				await pause(250);
			}
		};
		const read = await inParallel(ids, settled);
		for (const { client } of others) read.push(...(await inParallel(ids, (id) => eventually(() => recordOf(client, id), OVER_MS))));
		return read.filter((record) => record !== undefined);
	}

	/** Of the background: the fast server may lose its last second, and what it counted then, where it is killed. */
	async #totals(): Promise<History["totals"]> {
		const background = async (): Promise<Totals> => {
			const samples = await scrape(this.#first);
			const of = (name: string) => samples.sum(name, { lane: "background" satisfies Lane });
			return {
				accepted: of("berth_accepted_total"),
				settled: of("berth_settled_total"),
				dead: of("berth_dead_total"),
				inFlight: of("berth_in_flight"),
			};
		};
		await eventually(async () => {
			if ((await background()).inFlight > 0) throw new Error("something is in flight");
		}, OVER_MS).catch(() => undefined);
		return { background: await background() };
	}
}

async function inParallel<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
	const results: R[] = [];
	const waiting = all.entries();
	await Promise.all(
		Array.from({ length: READERS }, async () => {
			for (const [n, one] of waiting) results[n] = await work(one);
		}),
	);
	return results;
}

/** How many invocations clients were told of that they are accepted, or how they ended. */
export function acknowledgedIn({ asked }: Pick<History, "asked">): number {
	return asked.filter(({ told }) => told.kind === "accepted" || told.kind === "answered").length;
}
