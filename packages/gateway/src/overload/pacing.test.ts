import { HEADERS, type Problem } from "@berth/contracts";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type OwnStack, startOwnStack } from "../testing/own-stack.js";
import { mirror } from "../testing/settlements.js";

/** More than any project may begin at once where the gateway is behind for long. */
const FLOOD = 400;
const ENOUGH = 5;
/** Over HTTP they come a little later than the flood: one or two have the turns that there are again by then. */
const TOGETHER = 10;
const BESIDE = 10;

/** What the gateway sees of itself: how fast this machine is has no part in it. */
let isBehind = true;
const watch = {
	seen: () => ({ elapsedMs: 200, lateMs: isBehind ? 10 : 0, busy: isBehind ? 1 : 0.5 }),
	measure: () => undefined,
	close: () => undefined,
};

let stack: OwnStack;
beforeAll(async () => {
	stack = await startOwnStack({}, { watch });
	stack.onInvocation(mirror);
	for (const project of ["floods", "beside"]) {
		await stack.call("PUT", `/v1/projects/${project}`, undefined, 201);
		const init = { method: "PUT", body: JSON.stringify({ source: "export default () => 1" }) };
		expect((await send(project, "/v1/functions/echo?wait=true", init)).status).toBe(201);
	}
});
afterAll(() => stack?.close());

function send(project: string, path: string, init: RequestInit): Promise<Response> {
	return stack.fetch(path, { ...init, headers: { [HEADERS.project]: project, "content-type": "application/json" } });
}

function invoke(project: string): Promise<Response> {
	return send(project, "/v1/functions/echo/invocations", { method: "POST", body: "{}" });
}

/** Asks for the turns of many requests that come at the same moment. @returns how many had none, when all that have one had it */
async function flood(): Promise<number> {
	const turns = await Promise.allSettled(Array.from({ length: FLOOD }, () => stack.services.pacing.take("floods")));
	return turns.filter(({ status }) => status === "rejected").length;
}

test("a project that floods a gateway that is behind is held up and refused, one beside it is not, and none is once the gateway keeps up", async () => {
	const refused: Problem[] = [];
	const beside: number[] = [];
	let none = 0;
	while (refused.length < ENOUGH) {
		const flooded = flood();
		// Enough that it counts.
		for (let more = 0; more < BESIDE; more++) beside.push(stack.services.pacing.take("beside") === undefined ? 200 : 429);
		const [other, ...flooding] = await Promise.all([invoke("beside"), ...Array.from({ length: TOGETHER }, () => invoke("floods"))]);
		beside.push(other.status);
		await other.arrayBuffer();
		for (const one of flooding) {
			const answer = (await one.json()) as Problem;
			if (one.status !== 429) continue;
			expect(one.headers.get("retry-after")).toBe("1");
			refused.push(answer);
		}
		none += await flooded;
	}
	expect(beside.filter((status) => status !== 200)).toEqual([]);
	expect(none).toBeGreaterThan(0);
	expect(refused[0]).toMatchObject({ code: "too_busy", retryAfterMs: 1000, detail: expect.stringContaining("project floods") });
	isBehind = false;
	await vi.waitUntil(async () => (await invoke("beside")).ok && (await flood()) === 0, 15_000);
});
