import type { RawAnswer } from "@berth/client";
import { beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, fixture, header, json } from "../harness/functions.js";
import { scrape } from "../harness/metrics.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
/** More than its concurrency and what may wait behind it. */
const FLOOD = 320;
/** Says how many invocations it has run: one sandbox runs them all. */
const COUNTS =
	"let ran = 0; export default async ({ ms = 5 } = {}) => { await new Promise((resolve) => setTimeout(resolve, ms)); return ++ran; };";
/** One that the others wait behind: however slowly they are sent, they come faster than the function answers. */
const HELD = { ms: 3_000 };

let flooded: Deployed;
let other: Deployed;
beforeAll(async () => {
	[flooded, other] = await Promise.all([
		deploy(stack, { source: COUNTS, concurrency: 1, memoryMiB: 64 }),
		deploy(stack, { source: fixture("counts"), memoryMiB: 64 }),
	]);
	await Promise.all([flooded.result(), other.result()]);
});

describe("a function that is sent more than it may have waiting", () => {
	it("is answered 429 at once, and what was refused is never run; meanwhile another one answers, and so does the gateway", async () => {
		const before = (await scrape(stack)).sum("berth_refused_total", { lane: "interactive" });
		const refused: RawAnswer[] = [];
		const answered: RawAnswer[] = [];
		// What was let in waits for no longer than its start budget, which a busy machine may need for so many.
		const late: RawAnswer[] = [];
		const flood = Array.from({ length: FLOOD }, async (_, at) => {
			const answer = await stack.client.invokeRaw(flooded.name, { json: at === 0 ? HELD : {} });
			const isLate = answer.status === 503 && json(answer)["code"] === "start_timed_out";
			(isLate ? late : answer.status === 200 ? answered : refused).push(answer);
		});
		await expect.poll(() => refused.length, { timeout: 15_000 }).toBeGreaterThan(0);
		// What was admitted isn't through yet.
		expect(answered.length).toBeLessThan(FLOOD / 2);
		expect(await other.result()).toMatchObject({ invocations: 2 });
		expect(await stack.client.ready()).toMatchObject({ ready: true });
		await Promise.all(flood);
		for (const answer of refused) {
			expect([answer.status, json(answer)["code"]]).toEqual([429, "too_busy"]);
			expect(header(answer, "retry-after")).toMatch(/^[1-9]\d*$/);
		}
		// What was let in behind the one that was held is answered, too, and not held until it is too late.
		expect(answered.length).toBeGreaterThan(1);
		// Neither of the two ran.
		expect(await flooded.result()).toBe(1 + answered.length + 1);
		expect((await scrape(stack)).sum("berth_refused_total", { lane: "interactive" })).toBe(before + refused.length);
	});
});
