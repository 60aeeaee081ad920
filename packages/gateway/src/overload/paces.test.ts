import { describe, expect, it } from "vitest";
import { LONGEST_TURN_MS, Paces } from "./paces.js";

const LOOK_MS = 200;
/** Of a gateway with nothing to do, and the most that is measured. */
const RESTING_MS = 0.3;
const MOST_LATE_MS = 50;

/** How late it is besides for reasons that aren't its requests', by the look, milliseconds. */
type Outside = (look: number) => number;
const NONE: Outside = () => 0;

interface Run {
	/** A second. */
	readonly begun: Readonly<Record<string, number>>;
	readonly refused: Readonly<Record<string, number>>;
	readonly waitedMs: Readonly<Record<string, number>>;
}

/**
 * A gateway by a clock of its own that can do so many requests a second: the nearer it is to that, the later its timers, and what is beyond it
 * has to wait. Each project asks so often a second, evenly, and what has no turn isn't asked again.
 */
class Simulated {
	nowMs = 0;
	readonly paces = new Paces(() => this.nowMs);
	readonly #capacity: number;
	readonly #outside: Outside;
	#queued = 0;
	#looks = 0;

	constructor(capacity: number, outside = NONE) {
		this.#capacity = capacity;
		this.#outside = outside;
	}

	run(asked: Readonly<Record<string, number>>, seconds: number): Run {
		const run = { begun: zeros(asked), refused: zeros(asked), waitedMs: zeros(asked) };
		for (const endMs = this.nowMs + seconds * 1000; this.nowMs < endMs; ) {
			let inLook = 0;
			for (let ms = 0; ms < LOOK_MS; ms++, this.nowMs++) {
				for (const [project, perSecond] of Object.entries(asked)) {
					const due = Math.floor(((this.nowMs + 1) * perSecond) / 1000) - Math.floor((this.nowMs * perSecond) / 1000);
					for (let one = 0; one < due; one++) {
						const waitMs = this.paces.take(project);
						if (waitMs === undefined) add(run.refused, project, 1 / seconds);
						else {
							inLook++;
							add(run.begun, project, 1 / seconds);
							run.waitedMs[project] = Math.max(run.waitedMs[project] ?? 0, waitMs);
						}
					}
				}
			}
			this.#look(inLook);
		}
		return run;
	}

	#look(begun: number): void {
		const most = (this.#capacity * LOOK_MS) / 1000;
		const work = this.#queued + begun;
		const load = Math.min(0.99, work / most);
		this.#queued = Math.max(0, work - most);
		const ownMs = (RESTING_MS * load) / (1 - load) + (this.#queued / this.#capacity) * 1000;
		const lateMs = Math.min(MOST_LATE_MS, RESTING_MS + ownMs) + this.#outside(this.#looks++);
		this.paces.look({ elapsedMs: LOOK_MS, lateMs, busy: Math.min(1, work / most) });
	}
}

function zeros(asked: Readonly<Record<string, number>>): Record<string, number> {
	return Object.fromEntries(Object.keys(asked).map((project) => [project, 0]));
}

function add(counts: Record<string, number>, project: string, count: number): void {
	counts[project] = (counts[project] ?? 0) + count;
}

/** The same numbers each time, as if by chance: below 1. */
function chances(): () => number {
	let state = 1;
	return () => {
		state = (state * 48_271) % 2_147_483_647;
		return state / 2_147_483_647;
	};
}

/** What one that asks for much begins each second, beside one that asks for little and counts. */
function perSecondOf(gateway: Simulated): readonly number[] {
	return Array.from({ length: 300 }, () => gateway.run({ one: 1000, other: 50 }, 1).begun["one"] ?? 0);
}

function meanOf(numbers: readonly number[]): number {
	return numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
}

describe("the pace of projects", () => {
	it("is any for one that is alone, however far behind the gateway is", () => {
		const { begun, waitedMs } = new Simulated(500).run({ alone: 2000 }, 10);
		expect(begun["alone"]).toBeCloseTo(2000, 0);
		expect(waitedMs["alone"]).toBe(0);
	});

	it("is any for several as long as the gateway keeps up, or does too little itself to be why it is late", () => {
		for (const gateway of [new Simulated(3000), new Simulated(20_000, () => 5)]) {
			const { begun, waitedMs } = gateway.run({ one: 900, other: 50 }, 10);
			expect(begun["one"]).toBeCloseTo(900, 0);
			expect(waitedMs["one"]).toBe(0);
		}
	});

	it.each([600, 400, 250])(
		"holds up who floods a gateway that can do %i a second, and not for a moment who asks for little beside it",
		(capacity) => {
			const gateway = new Simulated(capacity);
			const first = gateway.run({ floods: 1000, beside: 50 }, 5);
			const { begun, waitedMs } = gateway.run({ floods: 1000, beside: 50 }, 60);
			for (const each of [first.waitedMs, waitedMs]) expect(each["beside"]).toBe(0);
			expect(begun["beside"]).toBeCloseTo(50, 0);
			expect(begun["floods"]).toBeGreaterThanOrEqual(99);
			expect(begun["floods"]).toBeLessThan(capacity - 50);
			expect(waitedMs["floods"]).toBeLessThanOrEqual(LONGEST_TURN_MS);
		},
	);

	it("holds up nobody but who asks for the most, where the gateway has room and is late for other reasons, too", () => {
		const gateway = new Simulated(900, () => 1.2);
		gateway.run({ floods: 500, beside: 190 }, 10);
		gateway.run({ floods: 500, beside: 50 }, 20);
		// What asked for less meanwhile isn't bound by that.
		gateway.run({ floods: 500, beside: 190 }, 5);
		const { begun, refused } = gateway.run({ floods: 500, beside: 190 }, 30);
		expect(begun["floods"]).toBeLessThan(400);
		expect(begun["beside"]).toBeCloseTo(190, -1);
		expect(refused["beside"]).toBeLessThan(10);
	});

	it("is the same for two that both ask for more than there is, and neither has less than half of what is done in time", () => {
		const gateway = new Simulated(600);
		gateway.run({ one: 900, other: 500 }, 10);
		const { begun } = gateway.run({ one: 900, other: 500 }, 60);
		const [one = 0, other = 0] = [begun["one"], begun["other"]];
		expect(one / other).toBeGreaterThan(0.95);
		expect(one / other).toBeLessThan(1.15);
		expect(other).toBeGreaterThan(200);
	});

	it("is any for two that flood alike: slower ones would be nobody's gain", () => {
		const { refused, waitedMs } = new Simulated(400).run({ one: 800, other: 800 }, 30);
		expect([refused, waitedMs]).toEqual([
			{ one: 0, other: 0 },
			{ one: 0, other: 0 },
		]);
	});

	it("is any for one that asks for much beside one that hardly asks, whatever the latter's sandboxes do to the machine", () => {
		for (const outside of [() => 1, () => 5, (look: number) => (look % 20 < 10 ? 20 : 0)]) {
			const { refused, waitedMs } = new Simulated(2000, outside).run({ victim: 500, burns: 0.5 }, 120);
			expect([refused["victim"], waitedMs["victim"]]).toEqual([0, 0]);
		}
	});

	it("is any where less than half of the looks find the gateway late", () => {
		const { refused, waitedMs } = new Simulated(3000, (look) => (look % 3 === 0 ? 5 : 0)).run({ one: 1000, other: 50 }, 120);
		expect([refused["one"], waitedMs["one"]]).toEqual([0, 0]);
	});

	it("goes no lower than an equal part, and is any again after that, for longer each time, when slower requests don't make it less late", () => {
		const begun = perSecondOf(new Simulated(3000, () => 1.2));
		expect(Math.min(...begun)).toBeGreaterThanOrEqual(500);
		expect(Math.min(...begun)).toBeLessThan(1000);
		expect(meanOf(begun)).toBeGreaterThan(970);
	});

	it("hardly ever goes lower by chance, when it is late for reasons that come and go", () => {
		const chance = chances();
		for (const often of [0.5, 0.75, 0.92]) {
			const begun = perSecondOf(new Simulated(3000, () => (chance() < often ? 1 + 3 * chance() : 0)));
			expect(meanOf(begun)).toBeGreaterThan(950);
		}
	});

	it("is any again soon after the other one has nothing to ask, or who floods, and whoever was held up is forgotten with what it owed", () => {
		for (const after of [{ floods: 1000 }, { beside: 50 }, { floods: 50, beside: 50 }]) {
			const gateway = new Simulated(400);
			gateway.run({ floods: 1000, beside: 50 }, 10);
			expect(gateway.paces.perSecond).toBeLessThan(400);
			gateway.run(after, 5);
			expect(gateway.paces.perSecond).toBeUndefined();
			expect(gateway.paces.take("floods")).toBe(0);
		}
	});

	it("lets a moment's requests begin together, and only what goes on and on waits", () => {
		const gateway = new Simulated(400);
		gateway.run({ floods: 1000, beside: 50 }, 10);
		const atOnce = Array.from({ length: 20 }, () => gateway.paces.take("newcomer"));
		expect(atOnce).toEqual(Array(20).fill(0));
	});
});
