import { BerthError } from "@berth/contracts";
import { expect, test } from "vitest";
import { type Place, Places, type Refusal } from "./places.js";

const owner = (name: string, project = "default", concurrency = 100_000) => ({ project, function: name, concurrency });

function refusalOf(act: () => unknown): BerthError {
	try {
		act();
	} catch (error) {
		if (error instanceof BerthError) return error;
		throw error;
	}
	throw new Error("it wasn't refused");
}

/** Takes until it is refused. */
function flood(places: Places, name: string): Place[] {
	const taken: Place[] = [];
	try {
		for (;;) taken.push(places.take(owner(name)));
	} catch (error) {
		expect(error).toBeInstanceOf(BerthError);
	}
	return taken;
}

test("a function that floods gets its share, and another one has room", () => {
	const reasons: Refusal[] = [];
	const places = new Places(1000, (reason) => reasons.push(reason));
	expect(flood(places, "floods")).toHaveLength(704);
	expect(reasons).toEqual(["share"]);
	const refused = refusalOf(() => places.require(owner("floods")));
	expect([refused.code, refused.entry.status, refused.extra["retryAfterMs"]]).toEqual(["too_busy", 429, 1000]);
	expect(refused.message).toMatch(/floods has 704 in flight already, which is its share of the 1000 places/);
	expect(() => places.require(owner("other"))).not.toThrow();
	expect(() => places.require(owner("floods", "other-project"))).not.toThrow();
});

test("ten that flood for a while have equal shares, and who comes then has room", () => {
	const places = new Places(1024);
	const taken = Array.from({ length: 10 }, (_, n) => ({ name: `floods-${n}`, places: [] as Place[] }));
	// The first has all that it can get; then places are given back one by one, and everybody asks for each.
	for (let round = 0; round < 4000; round++) {
		for (const one of taken) one.places.push(...flood(places, one.name));
		for (const { places: own } of taken) own.shift()?.free();
	}
	for (const one of taken) one.places.push(...flood(places, one.name));
	const shares = taken.map(({ places: own }) => own.length);
	expect(Math.max(...shares)).toBeLessThan(2 * Math.min(...shares));
	expect(1024 - places.inFlight).toBeGreaterThan(20);
	expect(() => places.take(owner("new"))).not.toThrow();
});

test("a project that floods with ever more functions gets its share, and another one has room", () => {
	const places = new Places(1024);
	const taken = Array.from({ length: 1000 }, (_, n) => flood(places, `floods-${n}`)).flat();
	expect(taken).toHaveLength(960);
	const refused = refusalOf(() => places.take(owner("one-more")));
	expect([refused.code, refused.entry.status]).toEqual(["too_busy", 429]);
	expect(refused.message).toMatch(/project default has 960 in flight already, which is its share of the 1024 places/);
	expect(() => places.take(owner("other", "other-project"))).not.toThrow();
	for (const place of taken) place.free();
	expect(flood(places, "floods-again")).toHaveLength(720);
});

test("when every place is taken it is the node that is full, whoever asks", () => {
	const reasons: Refusal[] = [];
	const places = new Places(2, (reason) => reasons.push(reason));
	places.take(owner("a"));
	const place = places.take(owner("b"));
	const refused = refusalOf(() => places.take(owner("c")));
	expect([refused.code, refused.entry.status, refused.extra["retryAfterMs"]]).toEqual(["node_full", 503, 1000]);
	expect(reasons).toEqual(["full"]);
	place.free();
	// Twice given back is given back once.
	place.free();
	expect(places.inFlight).toBe(1);
	places.take(owner("c"));
});

test("who couldn't begin in time is refused at once, and told when what is ahead will be gone", () => {
	let nowMs = 0;
	const places = new Places(10_000, undefined, () => nowMs);
	const taken = Array.from({ length: 1000 }, () => places.take(owner("slow")));
	// 100/s, two at a time, and all of them have waited.
	for (const place of taken.slice(0, 100)) {
		nowMs += 10;
		place.free({ waitedMs: 500, ranMs: 20 });
	}
	const refused = refusalOf(() => places.take(owner("slow")));
	expect([refused.code, Math.round((refused.extra["retryAfterMs"] as number) / 100)]).toEqual(["too_busy", 90]);
	expect(refused.message).toMatch(/900 in flight already, and one more would wait for 9\.0 s, where 5\.0 s are the most/);
	expect(() => places.take(owner("other"))).not.toThrow();
	for (const place of taken.slice(100, 500)) {
		nowMs += 10;
		place.free({ waitedMs: 500, ranMs: 20 });
	}
	expect(() => places.take(owner("slow"))).not.toThrow();
});

test("behind what may run of a function a quarter of the places may wait", () => {
	const reasons: Refusal[] = [];
	const places = new Places(1024, (reason) => reasons.push(reason));
	const few = owner("few", "default", 100);
	for (let n = 0; n < 100 + 256; n++) places.take(few);
	const refused = refusalOf(() => places.take(few));
	expect(refused.message).toMatch(/few has 356 in flight already: 100 may run at a time, and 256 wait/);
	expect(refused.extra["retryAfterMs"]).toBe(5000);
	expect(reasons).toEqual(["waiting"]);
	expect(() => places.take(owner("other"))).not.toThrow();
});

test("a function that is done is forgotten, with what it was like", () => {
	let nowMs = 0;
	const places = new Places(10_000, undefined, () => nowMs);
	for (const place of Array.from({ length: 1000 }, () => places.take(owner("slow")))) {
		nowMs += 10;
		place.free({ waitedMs: 500, ranMs: 20 });
	}
	expect(places.inFlight).toBe(0);
	expect(Array.from({ length: 800 }, () => places.take(owner("slow")))).toHaveLength(800);
});
