import { once } from "node:events";
import { type InvocationRequest, newId, type ScheduleConfig, type ScheduleRun } from "@berth/contracts";
import { type OpenSchedule, Schedules } from "@berth/registry";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Services } from "../services.js";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { ended } from "../testing/settlements.js";
import { ScheduleDispatcher } from "./dispatcher.js";

let stack: OwnStack;
/** What reached the function, and what the clock says. */
let seen: InvocationRequest[] = [];
let nowMs = 0;
let count = 0;

beforeAll(async () => {
	stack = await startOwnStack({ shop: {} });
});
afterAll(() => stack?.close());
beforeEach(() => {
	seen = [];
	// Whatever the time is: what was accepted long ago isn't run any more.
	nowMs = Date.parse("2099-11-26T10:00:00Z");
	stack.onInvocation(async ({ request }) => {
		seen.push(request);
		return ended("succeeded");
	});
});

async function made(more: Partial<ScheduleConfig>) {
	const at = new Date(nowMs).toISOString();
	const fixed = { function: "shop", alias: "live", missed: "one", overlap: "skip", jitterMs: 0, enabled: true, timeZone: "UTC" } as const;
	const config = { ...fixed, name: `s${count++}`, createdAt: at, updatedAt: at, ...more } as ScheduleConfig;
	const dueMs = nowMs + (config.everyMs ?? 0);
	return await stack.services.schedules.make("default", config, { dueMs, firesAtMs: dueMs });
}

const dispatcher = (services: Services = stack.services) => new ScheduleDispatcher(services, () => nowMs);
const runsOf = async (id: string) => (await stack.services.schedules.runs(id, 100)).map(shortly);
const shortly = ({ dueAt, result, kind, count: missed }: ScheduleRun) => [dueAt.slice(11, 19), result, kind, ...(missed ? [missed] : [])];
const duesOf = (name: string) =>
	seen.flatMap(({ trigger }) => (trigger.kind === "event" && trigger.schedule?.name === name ? [trigger.schedule.dueAt] : []));

describe("a firing", () => {
	test("becomes an invocation in the background with the payload, and says which it is", async () => {
		const { id, config } = await made({ everyMs: 60_000, payload: { to: "all" } });
		await dispatcher().round();
		expect(await runsOf(id)).toEqual([]);
		nowMs += 60_000;
		await dispatcher().round();
		await expect.poll(() => seen.length).toBe(1);
		expect(seen[0]).toMatchObject({
			function: "shop",
			version: 1,
			body: { text: '{"to":"all"}' },
			trigger: {
				kind: "event",
				contentType: "application/json",
				schedule: { name: config.name, dueAt: "2099-11-26T10:01:00.000Z", kind: "due" },
			},
		});
		expect(await runsOf(id)).toEqual([["10:01:00", "fired", "due"]]);
		expect((await stack.services.schedules.find(id))?.dueMs).toBe(nowMs + 60_000);
	});

	test("whose time nobody was there for is made up for as its schedule says", async () => {
		const one = await made({ everyMs: 600_000 });
		const none = await made({ everyMs: 600_000, missed: "skip" });
		nowMs += 2_000_000;
		await dispatcher().round();
		expect(await runsOf(one.id)).toEqual([
			["10:30:00", "fired", "missed"],
			["10:20:00", "missed", "missed", 2],
		]);
		expect(await runsOf(none.id)).toEqual([["10:30:00", "missed", "missed", 3]]);
		await expect.poll(() => duesOf(one.config.name)).toEqual(["2099-11-26T10:30:00.000Z"]);
		expect(duesOf(none.config.name)).toEqual([]);
	});

	test("is skipped, or waits, while the one before isn't over", async () => {
		const release = Promise.withResolvers<void>();
		stack.onInvocation(async ({ request }) => {
			seen.push(request);
			await release.promise;
			return ended("succeeded");
		});
		const skips = await made({ everyMs: 60_000 });
		const queues = await made({ everyMs: 60_000, overlap: "queue" });
		nowMs += 60_000;
		await dispatcher().round();
		// What schedules of other tests had under way may come in late.
		const own = () => [skips, queues].flatMap(({ config }) => duesOf(config.name));
		await expect.poll(() => own().length).toBe(2);
		nowMs += 60_000;
		await dispatcher().round();
		expect(await runsOf(skips.id)).toEqual([
			["10:02:00", "skipped", "due"],
			["10:01:00", "fired", "due"],
		]);
		expect(await runsOf(queues.id)).toEqual([["10:01:00", "fired", "due"]]);
		expect((await stack.services.schedules.find(queues.id))?.queued).toBe(1);
		expect(own().length).toBe(2);
		release.resolve();
		await expect
			.poll(async () => {
				nowMs += 1000;
				await dispatcher().round();
				return duesOf(queues.config.name);
			})
			.toEqual(["2099-11-26T10:01:00.000Z", "2099-11-26T10:02:00.000Z"]);
	});

	test("has the one before cancelled where it replaces it, and runs when that is over; of several the last", async () => {
		let cancels = 0;
		stack.onInvocation(async ({ request, cancelled }) => {
			seen.push(request);
			if (seen.length > 1) return ended("succeeded");
			await once(cancelled, "abort");
			cancels++;
			return ended("cancelled");
		});
		const { id, config } = await made({ everyMs: 60_000, overlap: "replace" });
		nowMs += 60_000;
		await dispatcher().round();
		await expect.poll(() => seen.length).toBe(1);
		nowMs += 60_000;
		const open = (await stack.services.schedules.find(id)) as OpenSchedule;
		const next = { dueMs: nowMs + 60_000, firesAtMs: nowMs + 60_000 };
		await stack.services.schedules.claim(open, [{ dueMs: nowMs, invocation: newId("inv"), kind: "due" }], next, undefined, nowMs);
		nowMs += 60_000;
		await expect
			.poll(async () => {
				await dispatcher().round();
				nowMs += 300;
				return duesOf(config.name);
			})
			.toEqual(["2099-11-26T10:01:00.000Z", "2099-11-26T10:03:00.000Z"]);
		expect(cancels).toBe(1);
		expect(await runsOf(id)).toEqual([
			["10:03:00", "fired", "due"],
			["10:02:00", "skipped", "due"],
			["10:01:00", "fired", "due"],
		]);
	});

	test("that no version is there for has failed, and says why; the next one is tried", async () => {
		const { id } = await made({ everyMs: 60_000, alias: "nobody" });
		nowMs += 60_000;
		await dispatcher().round();
		const [run] = await stack.services.schedules.runs(id, 1);
		expect(run).toMatchObject({ result: "failed", reason: expect.stringContaining("alias_not_found") });
		expect((await stack.services.schedules.find(id))?.dueMs).toBe(nowMs + 60_000);
	});

	test("is none any more when its schedule, or its function, is removed", async () => {
		await stack.deploy("leaves");
		const first = await made({ everyMs: 60_000 });
		const second = await made({ everyMs: 60_000, function: "leaves", name: "left" });
		await stack.services.schedules.remove(first);
		expect((await stack.fetch("/v1/functions/leaves", { method: "DELETE" })).status).toBe(204);
		nowMs += 60_000;
		const { due, open } = await stack.services.schedules.look(1000, nowMs);
		expect([...due, ...open].filter((id) => id === first.id || id === second.id)).toEqual([]);
		expect(await stack.redis.client((client) => client.keys(`*${second.id}*`))).toEqual([]);
	});
});

/** A gateway that may die at any call it makes, before or after that had its effect. */
class Mortal {
	dead = false;
	readonly dispatcher: ScheduleDispatcher;
	readonly #dies: () => "before" | "after" | undefined;

	constructor(schedules: Schedules, dies: () => "before" | "after" | undefined) {
		this.#dies = dies;
		const { invocations, functions } = stack.services;
		const services = { ...stack.services, schedules: this.#mortal(schedules), invocations: this.#mortal(invocations), functions };
		this.dispatcher = dispatcher(services);
	}

	#mortal<Part extends object>(part: Part): Part {
		const never = new Promise<never>(() => undefined);
		return new Proxy(part, {
			get: (target, name) => {
				const method = Reflect.get(target, name) as unknown;
				if (typeof method !== "function") return method;
				return (...given: unknown[]) => {
					if (this.dead) return never;
					const death = this.#dies();
					if (death !== undefined) this.dead = true;
					if (death === "before") return never;
					const done = method.apply(target, given) as Promise<unknown>;
					return death === undefined ? done : done.then(() => never);
				};
			},
		});
	}

	/** Ends when the round does, or this gateway. */
	async round(): Promise<void> {
		const round = this.dispatcher.round().then(() => true);
		while (!this.dead && !(await Promise.race([round, new Promise((resolve) => setTimeout(resolve, 5, false))])));
	}
}

describe("three gateways that die at any moment, and a clock that steps", () => {
	test("fire each time exactly once, in order, one after another", async () => {
		const running = new Set<string>();
		const overlaps: string[] = [];
		stack.onInvocation(async ({ request }) => {
			const name = request.trigger.kind === "event" ? (request.trigger.schedule?.name ?? "") : "";
			if (running.has(name)) overlaps.push(name);
			running.add(name);
			seen.push(request);
			await new Promise((resolve) => setTimeout(resolve, 2));
			running.delete(name);
			return ended("succeeded");
		});
		const connections = await Promise.all([0, 1, 2].map(() => Schedules.open(stack.redis.url)));
		const steps = fc.array(fc.integer({ min: -20_000, max: 30_000 }), { minLength: 4, maxLength: 12 });
		let deaths = 0;
		const property = fc.asyncProperty(steps, fc.infiniteStream(fc.integer({ min: 0, max: 39 })), async (moves, chance) => {
			seen = [];
			const dice = () => {
				const value = chance.next().value as number;
				if (value > 1) return undefined;
				deaths++;
				return value === 0 ? ("before" as const) : ("after" as const);
			};
			const startMs = nowMs;
			const all = await Promise.all([
				made({ everyMs: 3000, missed: "all", overlap: "queue" }),
				made({ everyMs: 7000, missed: "all", overlap: "queue" }),
			]);
			const gateways = connections.map((one) => new Mortal(one, dice));
			let latestMs = nowMs;
			const go = async () => {
				await Promise.all(gateways.map((gateway) => gateway.round()));
				for (const [at, { dead }] of gateways.entries()) if (dead) gateways[at] = new Mortal(connections[at] as Schedules, dice);
			};
			for (const move of moves) {
				nowMs += move;
				latestMs = Math.max(latestMs, nowMs);
				await go();
			}
			nowMs = latestMs;
			const wanted = all.map(({ config: { everyMs = 0 } }) =>
				Array.from({ length: Math.floor((latestMs - startMs) / everyMs) }, (_, at) => new Date(startMs + (at + 1) * everyMs).toISOString()),
			);
			// No more comes due; what is claimed is found by the living, when the dead one's time is over.
			while (true) {
				await go();
				const left = await Promise.all(all.map(({ id }) => stack.services.schedules.find(id)));
				if (left.every((one) => one !== undefined && one.queued === 0 && (one.dueMs ?? 0) > latestMs)) break;
				await passLeases();
			}
			await expect.poll(() => running.size).toBe(0);
			for (const { id, config } of all) {
				await expect.poll(() => duesOf(config.name)).toEqual(wanted[all.findIndex((one) => one.id === id)]);
			}
			for (const one of all) await stack.services.schedules.remove((await stack.services.schedules.find(one.id)) ?? one);
			expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
		});
		try {
			await fc.assert(property, { numRuns: 8 });
			expect([overlaps, deaths > 10]).toEqual([[], true]);
		} finally {
			await Promise.all(connections.map((one) => one.close()));
		}
	});
});

/** Leases and waits are over, and no schedule has come due by it. */
async function passLeases(): Promise<void> {
	await stack.redis.client(async (client) => {
		for (const id of await client.zrange("{berth}:schedules-open", "0", "-1")) await client.zadd("{berth}:schedules-open", "0", id);
	});
}
