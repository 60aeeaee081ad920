import { setTimeout as pause } from "node:timers/promises";
import type { Schedule } from "@berth/contracts";
import { eventually } from "../../harness/eventually.js";
import type { Stack } from "../../harness/stack.js";
import type { Scheduled, ScheduledRun } from "../delivery/history.js";

const EVERY_MS = 3000;
const CRON = "*/3 * * * * *";
/** The API has the newest 20 firings: at most one a second, where several wait. */
const READ_MS = 2000;
/** For the last of them to have had its turn. */
const OVER_MS = 120_000;

/** What becomes of a time that nobody was there for, or that comes while the one before still runs. */
const POLICIES = [
	{ name: "all", missed: "all", overlap: "queue", firesAll: true },
	{ name: "some", missed: "one", overlap: "skip", firesAll: false },
] as const;

/** Schedules of a round, one for each policy, that fire while it goes on; and what their histories say. */
export class Firings {
	readonly #gateways: readonly Stack[];
	readonly #function: string;
	readonly #schedules: readonly Omit<Scheduled, "runs">[];
	readonly #runs = new Map<string, Map<string, ScheduledRun>>();
	readonly #reading: Promise<unknown>;
	#isOver = false;

	private constructor(gateways: readonly Stack[], name: string, schedules: readonly Omit<Scheduled, "runs">[]) {
		this.#gateways = gateways;
		this.#function = name;
		this.#schedules = schedules;
		// Of one that is frozen nothing comes for longer than the history reaches back.
		this.#reading = Promise.all(gateways.map((gateway) => this.#readOn(gateway)));
	}

	/** @param forMs how long they fire, from a moment from now on */
	static async begin(gateways: readonly Stack[], target: string, round: string, forMs: number): Promise<Firings> {
		const startMs = Math.ceil((Date.now() + EVERY_MS) / EVERY_MS) * EVERY_MS;
		const dueAt = Array.from({ length: Math.floor(forMs / EVERY_MS) + 1 }, (_, n) => new Date(startMs + n * EVERY_MS).toISOString());
		const [first] = gateways as [Stack];
		const bounds = { startAt: dueAt[0] as string, endAt: dueAt.at(-1) as string };
		const made = POLICIES.map(async ({ name: policy, firesAll, ...how }) => {
			const name = `${round}-${policy}`;
			await first.client.makeSchedule(target, { name, cron: CRON, ...how, ...bounds, payload: { deed: "succeed" } });
			return { name, dueAt, firesAll };
		});
		return new Firings(gateways, target, await Promise.all(made));
	}

	/** When none is left to come or waits. They are gone then. @throws Error when that doesn't come */
	async end(): Promise<readonly Scheduled[]> {
		const [first] = this.#gateways as [Stack];
		await eventually(async () => {
			for (const { name } of this.#schedules) {
				const { state, queued } = await this.#read(first, name);
				if (state !== "ended" || queued > 0) throw new Error(`${name} is ${state}, and ${queued} of its firings wait`);
			}
		}, OVER_MS);
		this.#isOver = true;
		await this.#reading;
		for (const { name } of this.#schedules) await first.client.removeSchedule(this.#function, name);
		return this.#schedules.map((schedule) => ({ ...schedule, runs: [...(this.#runs.get(schedule.name)?.values() ?? [])] }));
	}

	async #readOn(gateway: Stack): Promise<void> {
		while (!this.#isOver) {
			// One that is away is asked again.
			for (const { name } of this.#schedules) await this.#read(gateway, name).catch(() => undefined);
			await pause(READ_MS);
		}
	}

	/** Whatever else a run has is of its invocation: that may change. */
	async #read({ client }: Stack, name: string): Promise<Schedule> {
		const schedule = await client.schedule(this.#function, name);
		const runs = this.#runs.get(name) ?? new Map<string, ScheduledRun>();
		this.#runs.set(name, runs);
		for (const { dueAt, result, invocation, count } of schedule.runs) {
			const run = { dueAt, result, ...(invocation === undefined ? {} : { invocation }), ...(count === undefined ? {} : { count }) };
			runs.set(JSON.stringify(run), run);
		}
		return schedule;
	}
}
