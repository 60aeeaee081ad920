import { expect } from "vitest";
import { type Deployed, header } from "./functions.js";
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

/** Of an answer with those, two cookies `a=1` and `b=2`, and this body: what its caller has of it, and what its log says of the rest. */
export async function expectUnforged(deployed: Deployed, answer: RawResponse, body: string): Promise<void> {
	expect(JSON.stringify(answer.rawHeaders)).not.toContain("forged");
	expect(answer.headers["berth-outcome"]).toBe("succeeded");
	expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
	expect(answer.body.toString()).toBe(body);
	const { logs } = await deployed.record({ id: header(answer, "berth-invocation-id") as string });
	expect(logs).toHaveLength(1);
	const [line] = logs as NonNullable<typeof logs>;
	expect(line).toMatchObject({ level: "warn", text: expect.stringMatching(/^berth: left out of the answer's headers: /) });
	for (const name of ["berth-outcome", "berth-anything", "server-timing", "x-accel-redirect", "alt-svc"])
		expect(line?.text).toContain(`"${name}" (not for functions to say)`);
	// What frames an answer isn't missed.
	expect(line?.text).not.toMatch(/connection|x-hop|content-length/);
}
