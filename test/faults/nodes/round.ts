import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "../../harness/cluster.js";
import { eventually } from "../../harness/eventually.js";
import { freshName } from "../../harness/functions.js";
import { scrape } from "../../harness/metrics.js";
import type { Stack } from "../../harness/stack.js";
import { Witness } from "../../harness/witness.js";
import { recordOf, sourceOf } from "../delivery/asking.js";
import { askedBy } from "../delivery/firings.js";
import type { History, Lane, Recorded, Totals, Witnessed } from "../delivery/history.js";
import { LoadClient, type Seen } from "./clients.js";
import { awaitWork, Faults, type Tally } from "./faults.js";
import { Firings } from "./firings.js";
import { type PlanBounds, planOf } from "./plan.js";
import { type ClientKind, stepsOf } from "./steps.js";

/** For everything that was accepted to be over: retries, and the leases of what was killed. */
const OVER_MS = 120_000;
const DEPLOY_MS = 30_000;
/** Records that are read at the same time. */
const READERS = 16;
/** Steps of a client before it begins again with the first. */
const STEPS = 500;
/** What is invoked by each kind of client. `queueing` has fewer places than clients. */
const PLACES: Readonly<Record<ClientKind, number>> = { all: 16, queueing: 2, bursts: 8 };

/** No version rests for having crashed; of what is over, no more is kept than several rounds have. */
const SETTINGS = { BERTH_CRASHES_ALLOWED: "0", BERTH_RECORDS_MIB: "64" };

/** How a round goes. */
export interface RoundOptions extends PlanBounds {
	readonly seed: number;
	readonly clients: Readonly<Record<ClientKind, number>>;
	/** Clients go on until they were told of so many, if the faults are over sooner. */
	readonly leastAcknowledged: number;
}

/** Machines for the rounds: two gateways and three workers, the last of which has a disk that can be filled. */
export const MACHINES = { gateways: 2, workers: 3 } as const;

/** Rounds of faults and load against one cluster, each of which ends when nothing goes on any more. Whoever began them ends them. */
export class Rounds implements AsyncDisposable {
	readonly #cluster: Cluster;
	readonly #witness: Witness;
	readonly #name = freshName("faulty");
	readonly #faults: Faults;
	#rounds = 0;

	private constructor(cluster: Cluster, witness: Witness) {
		this.#cluster = cluster;
		this.#witness = witness;
		this.#faults = new Faults(cluster);
	}

	static async start(): Promise<Rounds> {
		const witness = await Witness.start();
		try {
			// Gateways refuse what they don't know.
			const env = { BERTH_BINDS: witness.settingOf("gateway"), ...SETTINGS };
			const workerEnv = (index: number) => ({ BERTH_BINDS: witness.settingOf(`worker-${index}`) });
			const cluster = await Cluster.start({ ...MACHINES, diskMiB: 1024, env, workerEnv });
			const rounds = new Rounds(cluster, witness);
			try {
				await rounds.#deploy();
				return rounds;
			} catch (error) {
				await cluster.stop();
				throw error;
			}
		} catch (error) {
			await witness[Symbol.asyncDispose]();
			throw error;
		}
	}

	async #deploy(): Promise<void> {
		const source = sourceOf(this.#witness.path, 1, this.#witness.machinePath);
		for (const [kind, concurrency] of Object.entries(PLACES) as [ClientKind, number][]) {
			const manifest = { source, binds: ["witness"], concurrency, memoryMiB: 64, timeoutMs: 10_000 };
			// On a machine that is busy a connection to the bucket may not be made in time.
			await eventually(() => this.#first.client.deploy(this.#nameOf(kind), manifest), DEPLOY_MS);
		}
		await awaitWork(this.#cluster, this.#nameOf("all"));
	}

	#nameOf(kind: ClientKind): string {
		return `${this.#name}-${kind}`;
	}

	get #first(): Stack {
		return this.#cluster.gateways[0] as Stack;
	}

	/** Of the rounds since the last time. */
	takeTally(): Tally {
		return this.#faults.takeTally();
	}

	/** @returns what clients saw of it, from a cluster in which nothing went on to one in which nothing does */
	async run({ seed, clients, leastAcknowledged, ...bounds }: RoundOptions, say: (text: string) => void): Promise<History> {
		const { gateways } = this.#cluster;
		const round = `r${this.#rounds++}`;
		const plan = planOf(seed, bounds);
		const firings = await Firings.begin(gateways, this.#nameOf("all"), round, plan.at(-1)?.atMs ?? 0);
		const seen: Seen = { asked: [], records: [] };
		let over = false;
		const load = Object.entries(clients).flatMap(([kind, count], group) =>
			Array.from({ length: count }, (_, n) => {
				const client = new LoadClient({ gateways, name: this.#nameOf(kind as ClientKind) }, `${round}-${kind}${n}`, seen);
				return client.run(stepsOf(seed + group * 100 + n, kind as ClientKind, gateways.length, STEPS), () => over);
			}),
		);
		const faults = this.#faults.carryOut(plan, say);
		try {
			await faults;
			while (acknowledgedIn(seen) < leastAcknowledged) await pause(100);
		} finally {
			over = true;
			await Promise.all(load);
		}
		await awaitWork(this.#cluster, this.#nameOf("all"));
		const schedules = await firings.end();
		const asked = [...seen.asked, ...schedules.flatMap(askedBy)];
		const records = [...seen.records, ...(await this.#end(asked))];
		const totals = await this.#totals();
		const witnessed = this.#witness
			.taken()
			.map((line) => JSON.parse(line) as Witnessed)
			.filter(({ token }) => token !== "ready");
		return { asked, records, witnessed, totals, killed: true, unattended: true, done: await faults, schedules };
	}

	/** What every gateway says in the end of all that somebody has an id of. What is never settled is the checker's to find. */
	async #end(asked: History["asked"]): Promise<readonly Recorded[]> {
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

	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.#cluster.stop();
		} finally {
			await this.#witness[Symbol.asyncDispose]();
		}
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
