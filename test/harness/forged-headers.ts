import { expect } from "vitest";
import type { RawResponse } from "./raw-http.js";

/** What no function may say in its answer, whatever it runs in. */
export const FORGED_HEADERS: Readonly<Record<string, string>> = {
	"berth-outcome": "forged",
	"berth-anything": "forged",
	"server-timing": "forged",
	"x-accel-redirect": "/forged",
	"alt-svc": 'h3="forged:443"',
	connection: "x-hop",
	"x-hop": "forged",
};

/** Of an answer with those, two cookies `a=1` and `b=2`, and this body: what its caller has of it. */
export function expectUnforged(answer: RawResponse, body: string): void {
	expect(JSON.stringify(answer.rawHeaders)).not.toContain("forged");
	expect(answer.headers["berth-outcome"]).toBe("succeeded");
	expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
	expect(answer.body.toString()).toBe(body);
}
