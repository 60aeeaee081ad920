import { describe, expect, it } from "vitest";
import { LONGEST_TURN_MS, Paces } from "./paces.js";

const LOOK_MS = 200;
const BEHIND = { elapsedMs: LOOK_MS, lateMs: 5, cores: 0.5 };
const WELL = { elapsedMs: LOOK_MS, lateMs: 0.2, cores: 0.5 };

/** A gateway by a clock of its own: each project asks so often a second, evenly, and what has no turn isn't asked again. */
class Simulated {
	nowMs = 0;
	readonly paces = new Paces(() => this.nowMs);

	/** @returns how many each began a second, and how long one waited at most */
	run(asked: Readonly<Record<string, number>>, seconds: number, seen: (began: number) => typeof BEHIND) {
		const begun: Record<string, number> = {};
		const waited: Record<string, number> = {};
		for (const endMs = this.nowMs + seconds * 1000; this.nowMs < endMs; ) {
			let inLook = 0;
			for (let ms = 0; ms < LOOK_MS; ms++, this.nowMs++) {
				for (const [project, perSecond] of Object.entries(asked)) {
					const due = Math.floor(((this.nowMs + 1) * perSecond) / 1000) - Math.floor((this.nowMs * perSecond) / 1000);
					for (let one = 0; one < due; one++) {
						const waitMs = this.paces.take(project);
						if (waitMs === undefined) continue;
						inLook++;
						begun[project] = (begun[project] ?? 0) + 1 / seconds;
						waited[project] = Math.max(waited[project] ?? 0, waitMs);
					}
				}
			}
			this.paces.look(seen((inLook * 1000) / LOOK_MS));
		}
		return { begun, waited };
	}
}

describe("the pace of projects", () => {
	it("is any for one that is alone, however far behind the gateway is", () => {
		const gateway = new Simulated();
		const { begun, waited } = gateway.run({ alone: 2000 }, 5, () => BEHIND);
		expect(begun["alone"]).toBeCloseTo(2000, 0);
		expect(waited["alone"]).toBe(0);
	});

	it("is any for several as long as the gateway keeps up, or does too little itself to be why it is late", () => {
		for (const seen of [WELL, { ...BEHIND, cores: 0.05 }]) {
			const { begun } = new Simulated().run({ one: 900, other: 10 }, 5, () => seen);
			expect(begun["one"]).toBeCloseTo(900, 0);
		}
	});

	it("holds up who floods a gateway that is behind, and not for a moment who asks for little beside it", () => {
		const gateway = new Simulated();
		// What it can do in time is 200 requests a second.
		const capacity = (began: number) => (began > 200 ? BEHIND : WELL);
		gateway.run({ floods: 1000, beside: 50 }, 5, capacity);
		const { begun, waited } = gateway.run({ floods: 1000, beside: 50 }, 20, capacity);
		expect(begun["beside"]).toBeCloseTo(50, 0);
		expect(waited["beside"]).toBe(0);
		expect(begun["floods"]).toBeGreaterThan(100);
		expect(begun["floods"]).toBeLessThan(200);
		expect(waited["floods"]).toBeLessThanOrEqual(LONGEST_TURN_MS);
	});

	it("is the same for two that both ask for more than there is, and neither has less than half of what is done", () => {
		const gateway = new Simulated();
		const capacity = (began: number) => (began > 400 ? BEHIND : WELL);
		gateway.run({ one: 900, other: 500 }, 5, capacity);
		const { begun } = gateway.run({ one: 900, other: 500 }, 20, capacity);
		const [one = 0, other = 0] = [begun["one"], begun["other"]];
		expect(one / other).toBeGreaterThan(0.95);
		expect(one / other).toBeLessThan(1.15);
		expect(other).toBeGreaterThan(200);
	});

	it("is never less than an equal part of what the gateway does, though it stays behind for a reason that isn't its projects'", () => {
		const { begun } = new Simulated().run({ one: 900, other: 200 }, 30, () => BEHIND);
		expect(begun["other"]).toBeCloseTo(200, 0);
		expect(begun["one"]).toBeGreaterThan(200);
	});

	it("is any again soon after the other one has nothing to ask, and whoever was held up is forgotten with what it owed", () => {
		const gateway = new Simulated();
		gateway.run({ floods: 1000, beside: 50 }, 5, () => BEHIND);
		expect(gateway.paces.perSecond).toBeLessThan(300);
		gateway.run({ floods: 1000 }, 6, () => BEHIND);
		expect(gateway.paces.shared).toBe(false);
		expect(gateway.paces.perSecond).toBeUndefined();
		expect(gateway.paces.take("floods")).toBe(0);
	});

	it("lets a moment's requests begin together, and only what goes on and on waits", () => {
		const gateway = new Simulated();
		gateway.run({ floods: 1000, beside: 50 }, 5, () => BEHIND);
		const atOnce = Array.from({ length: 20 }, () => gateway.paces.take("newcomer"));
		expect(atOnce.slice(0, 10)).toEqual(Array(10).fill(0));
	});
});
