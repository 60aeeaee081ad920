import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { BootKey } from "./boot-key.js";
import { Floors, type FloorsOptions } from "./floors.js";
import type { Sandbox } from "./sandbox.js";
import { BASE, OTHER_BASE } from "./testing/versions.js";

const KEY: BootKey = { kind: "function", base: BASE, language: "node", memoryClass: 128, network: "none" };
const OTHER: BootKey = { kind: "function", base: OTHER_BASE, language: "node", memoryClass: 128, network: "none" };
const BUILD: BootKey = { kind: "build", base: BASE, language: "node", memoryClass: 1024, network: "none" };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Booting {
	readonly key: BootKey;
	readonly succeed: () => Promise<FakeSandbox>;
	readonly fail: (message: string) => Promise<void>;
}
interface FakeSandbox {
	readonly bootKey: BootKey;
	preloaded: boolean;
}

/** Floors whose boots end when the test says so; a preload ends at once. */
class Yard {
	readonly booting: Booting[] = [];
	readonly retired: FakeSandbox[] = [];
	readonly troubles: string[] = [];
	calm = true;
	shared = false;
	room = Number.POSITIVE_INFINITY;
	#made = 0;
	readonly floors: Floors;

	constructor(changes: Partial<FloorsOptions> = {}) {
		this.floors = new Floors({
			boot: (key) => this.#boot(key),
			preload: async (sandbox) => {
				(sandbox as unknown as FakeSandbox).preloaded = true;
			},
			retire: (sandbox) => void this.retired.push(sandbox as unknown as FakeSandbox),
			isCalm: () => this.calm,
			isShared: () => this.shared,
			hasRoom: () => this.#made < this.room,
			onTrouble: ({ message }) => void this.troubles.push(message),
			...changes,
		});
	}

	/** Lets every boot end well until there is none. */
	async bootAll(): Promise<number> {
		let booted = 0;
		for (let next = this.booting[0]; next !== undefined; next = this.booting[0]) {
			await next.succeed();
			booted++;
		}
		return booted;
	}

	#boot(key: BootKey): Promise<Sandbox> {
		this.#made++;
		const { promise, resolve, reject } = Promise.withResolvers<Sandbox>();
		const ended = async (what: () => void) => {
			this.booting.splice(this.booting.indexOf(booting), 1);
			what();
			await vi.advanceTimersByTimeAsync(0);
		};
		const sandbox: FakeSandbox = { bootKey: key, preloaded: false };
		const booting: Booting = {
			key,
			succeed: async () => {
				await ended(() => resolve(sandbox as unknown as Sandbox));
				return sandbox;
			},
			fail: (message) =>
				ended(() => {
					this.#made--;
					reject(new Error(message));
				}),
		};
		this.booting.push(booting);
		return promise;
	}
}

describe("a floor", () => {
	test("is filled, a few at a time, and stands then", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 5);
		const reached = yard.floors.reached();
		expect(yard.booting.length).toBeGreaterThan(0);
		expect(yard.booting.length).toBeLessThan(5);
		expect(await yard.bootAll()).toBe(5);
		await reached;
		expect(yard.floors.prewarmed).toBe(5);
	});

	test("is known to come as soon as one has booted, and not while none does", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 1);
		yard.floors.set(OTHER, 1);
		const known: string[] = [];
		void yard.floors.first().then(() => known.push("first"));
		void yard.floors.reached().then(() => known.push("all"));
		await yard.booting[0]?.fail("no boot succeeds here");
		expect(known).toEqual([]);
		await yard.booting[0]?.succeed();
		expect(known).toEqual(["first"]);
	});

	test("is kept: one that is taken is replaced", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 2);
		yard.floors.refill();
		await yard.bootAll();
		expect(yard.floors.take(KEY)).toBeDefined();
		yard.floors.refill();
		expect(await yard.bootAll()).toBe(1);
		expect([yard.floors.has(KEY), yard.floors.has(OTHER), yard.floors.take(OTHER)]).toEqual([true, false, undefined]);
	});

	test("gives what waits longest, and what is preloaded before what isn't", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 2);
		yard.floors.refill();
		const first = await yard.booting[0]?.succeed();
		await yard.bootAll();
		expect(yard.floors.take(KEY)).toBe(first);
		(first as FakeSandbox).preloaded = true;
	});

	test("that is lowered retires what is too many, also what is booting still", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 3);
		yard.floors.refill();
		await yard.booting[0]?.succeed();
		await yard.booting[0]?.succeed();
		yard.floors.set(KEY, 1);
		expect(yard.retired).toHaveLength(1);
		await yard.bootAll();
		expect(yard.retired).toHaveLength(2);
		expect(yard.floors.prewarmed).toBe(1);
		await yard.floors.reached();
	});

	test("isn't refilled while somebody waits for a boot, and is as soon as nobody does", async () => {
		const yard = new Yard();
		yard.calm = false;
		yard.floors.set(KEY, 1);
		yard.floors.refill();
		expect(yard.booting).toHaveLength(0);
		yard.calm = true;
		yard.floors.refill();
		expect(await yard.bootAll()).toBe(1);
	});

	test("that there is no room for stands as it is", async () => {
		const yard = new Yard();
		yard.room = 1;
		yard.floors.set(KEY, 3);
		const reached = yard.floors.reached();
		await yard.bootAll();
		await reached;
		expect(yard.floors.prewarmed).toBe(1);
	});

	test("whose boot fails says so and is tried again after a while, not at once", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 1);
		yard.floors.refill();
		await yard.booting[0]?.fail("no memory");
		expect([yard.troubles, yard.booting.length]).toEqual([["no memory"], 0]);
		await vi.advanceTimersByTimeAsync(1000);
		expect(await yard.bootAll()).toBe(1);
		expect(yard.floors.prewarmed).toBe(1);
	});

	test("loses what died, and nothing else", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 2);
		yard.floors.refill();
		const died = await yard.booting[0]?.succeed();
		await yard.bootAll();
		yard.floors.remove(died as unknown as Sandbox);
		yard.floors.remove(died as unknown as Sandbox);
		expect(yard.floors.prewarmed).toBe(1);
	});

	test("of builds isn't counted among the functions'; the fullest is what gives one up", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 1);
		yard.floors.set(BUILD, 2);
		yard.floors.refill();
		await yard.bootAll();
		expect(yard.floors.prewarmed).toBe(1);
		expect(yard.floors.spare()?.bootKey).toBe(BUILD);
		expect([yard.floors.spare(), yard.floors.spare(), yard.floors.spare()].filter(Boolean)).toHaveLength(2);
	});
});

test("a floor that one was just taken from is refilled after a moment, and not when it is closed", async () => {
	const yard = new Yard();
	yard.floors.set(KEY, 1);
	yard.floors.refillSoon();
	yard.floors.refillSoon();
	expect(yard.booting).toHaveLength(0);
	await vi.advanceTimersByTimeAsync(50);
	expect(yard.booting).toHaveLength(1);
	await yard.bootAll();
	yard.floors.take(KEY);
	yard.floors.refillSoon();
	yard.floors.close();
	await vi.advanceTimersByTimeAsync(50);
	expect(yard.booting).toHaveLength(0);
});

describe("a floor that was learned", () => {
	test("keeps one ready, and is given up when nobody asks for it any more", async () => {
		const yard = new Yard();
		yard.floors.expect(OTHER, 1000);
		yard.floors.refill();
		await yard.bootAll();
		expect(yard.floors.has(OTHER)).toBe(true);
		await vi.advanceTimersByTimeAsync(600);
		yard.floors.expect(OTHER, 1000);
		yard.floors.refill();
		await vi.advanceTimersByTimeAsync(600);
		yard.floors.expire();
		expect(yard.floors.has(OTHER)).toBe(true);
		await vi.advanceTimersByTimeAsync(500);
		yard.floors.expire();
		expect([yard.floors.has(OTHER), yard.retired.length]).toEqual([false, 1]);
	});

	test("that expires while it boots keeps nothing", async () => {
		const yard = new Yard();
		yard.floors.expect(OTHER, 10);
		yard.floors.refill();
		await vi.advanceTimersByTimeAsync(20);
		yard.floors.expire();
		await yard.bootAll();
		expect([yard.floors.has(OTHER), yard.retired.length]).toEqual([false, 1]);
	});

	test("doesn't override a configured one, not even one of none", async () => {
		const yard = new Yard();
		yard.floors.set(KEY, 0);
		yard.floors.expect(KEY, 1000);
		yard.floors.refill();
		expect(yard.booting).toHaveLength(0);
	});
});

test("closed floors boot no more, retire what comes, and let nobody wait", async () => {
	const yard = new Yard();
	yard.floors.set(KEY, 4);
	const reached = yard.floors.reached();
	yard.floors.close();
	await reached;
	const booting = yard.booting.length;
	expect(await yard.bootAll()).toBe(booting);
	expect(yard.retired).toHaveLength(booting);
});

describe("the last one of a floor", () => {
	const flooded = async (shared: boolean) => {
		const yard = new Yard();
		yard.shared = shared;
		yard.floors.set(KEY, 2);
		const standing = yard.floors.reached();
		await yard.bootAll();
		await standing;
		// A flood boots for itself all the time.
		yard.calm = false;
		let taken = 0;
		for (let asked = 0; asked < 20; asked++) {
			if (yard.floors.take(KEY, "flood") !== undefined) taken++;
			yard.floors.refill();
			await yard.bootAll();
		}
		return { yard, taken };
	};

	test("is left to other projects by one that takes one after another, and there is one again though nobody is calm", async () => {
		const { yard, taken } = await flooded(true);
		expect(taken).toBe(2);
		expect([yard.floors.has(KEY, "flood"), yard.floors.has(KEY, "quiet")]).toEqual([false, true]);
		for (const project of ["quiet", "other", "third"]) {
			expect(yard.floors.take(KEY, project)).toBeDefined();
			yard.floors.refill();
			await yard.bootAll();
		}
		// The last but one is anybody's, and so is the last one in a while.
		vi.advanceTimersByTime(1000);
		expect(yard.floors.take(KEY, "flood")).toBeDefined();
	});

	test("is anybody's where there is one project", async () => {
		const { yard, taken } = await flooded(false);
		expect(taken).toBe(2);
		yard.calm = true;
		yard.floors.refill();
		await yard.bootAll();
		for (let asked = 0; asked < 2; asked++) expect(yard.floors.take(KEY, "flood")).toBeDefined();
	});
});
