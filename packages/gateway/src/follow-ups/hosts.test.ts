import { expect, test } from "vitest";
import { Hosts, type Place } from "./hosts.js";

const left = (place: Place) => "leave" in place;

test("one host has eight places; another one has its own", () => {
	const hosts = new Hosts();
	const places = Array.from({ length: 9 }, () => hosts.enter("slow", 0));
	expect(places.map(left)).toEqual([...Array(8).fill(true), false]);
	expect(left(hosts.enter("quick", 0))).toBe(true);
	(places[0] as Extract<Place, { leave: unknown }>).leave();
	expect(left(hosts.enter("slow", 1))).toBe(true);
	expect(left(hosts.enter("slow", 1))).toBe(false);
});

test("a thousand for one that never answers are each put off a few times, not again and again", () => {
	const hosts = new Hosts();
	const answerMs = 10_000;
	const due: number[] = Array.from({ length: 1000 }, () => 0);
	const ends: { readonly at: number; readonly leave: (endMs?: number) => void }[] = [];
	let sent = 0;
	let putOff = 0;
	while (due.length > 0) {
		due.sort((a, b) => b - a);
		const now = due.pop() as number;
		while ((ends[0]?.at ?? now + 1) <= now) {
			const end = ends.shift();
			end?.leave(end.at);
		}
		const place = hosts.enter("silent", now);
		if ("waitMs" in place) {
			putOff++;
			due.push(now + place.waitMs);
		} else {
			sent++;
			ends.push({ at: now + answerMs, leave: place.leave });
		}
	}
	expect(sent).toBe(1000);
	// It was eight times each in five seconds alone.
	expect(putOff).toBeLessThan(4000);
});
