import { ApiError } from "@berth/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture, freshName } from "../harness/functions.js";
import { maxMemoryOf, setMaxMemory } from "../harness/redis.js";
import { Stack } from "../harness/stack.js";

/** How long a server doesn't answer: longer than any heartbeat between the processes. */
const AWAY_MS = 3000;

let stack: Stack;
let quick: Deployed;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
	quick = await deploy(stack, { source: fixture("sleeps") });
	await quick.result();
});
afterAll(async () => {
	await stack?.stop();
});

/** Has a server refuse every write while `act` runs. */
async function whileFull(server: "durable" | "fast", act: () => Promise<void>): Promise<void> {
	const before = await maxMemoryOf(stack.dataDir, server);
	await setMaxMemory(stack.dataDir, server, "1");
	try {
		await act();
	} finally {
		await setMaxMemory(stack.dataDir, server, before);
	}
}

/** The status that something is refused with; its answer when it isn't. */
async function refusal(asking: Promise<unknown>): Promise<unknown> {
	return asking.catch((error: unknown) => {
		if (error instanceof ApiError) return error.status;
		throw error;
	});
}

describe("a durable Redis that is full", () => {
	it("has background invocations refused with 507 and deploys with 503, never acknowledged, and takes them again afterwards", async () => {
		const name = freshName();
		await whileFull("durable", async () => {
			for (let round = 0; round < 5; round++) expect(await refusal(stack.client.invokeAsync(quick.name, { json: {} }))).toBe(507);
			expect(await refusal(stack.client.deploy(name, { source: "export default () => 1;" }))).toBe(503);
		});
		const { id } = await eventually(() => stack.client.invokeAsync(quick.name, { json: {} }));
		await eventually(async () => expect(await stack.client.invocation(id)).toMatchObject({ outcome: "succeeded" }));
		await stack.client.deploy(name, { source: "export default () => 1;" });
		expect((await stack.client.invoke(name)).raw.body.toString()).toBe("1");
	});

	it("doesn't keep a function from answering whoever waits", async () => {
		await whileFull("durable", async () => {
			expect(await quick.result()).toBe("slept");
		});
	});
});

describe("a fast Redis that is full", () => {
	it("has invocations refused as the platform's fault, and takes them again afterwards", async () => {
		await whileFull("fast", async () => {
			const answer = await stack.client.invokeRaw(quick.name, { json: {} });
			expect(answer.status).toBe(503);
		});
		await eventually(async () => expect(await quick.result()).toBe("slept"), 30_000);
	});
});

describe.each(["redis-durable", "redis-fast"] as const)("a %s that doesn't answer for a while", (server) => {
	it("has nobody wait for good, and everything goes on when it is back", async () => {
		const pid = await stack.pidOf(server);
		process.kill(pid, "SIGSTOP");
		const waiting = Array.from({ length: 5 }, () => stack.client.invokeRaw(quick.name, { json: {} }));
		try {
			await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
		} finally {
			process.kill(pid, "SIGCONT");
		}
		const statuses = (await Promise.all(waiting)).map(({ status }) => status);
		expect(statuses.filter((status) => ![200, 500, 502, 503, 504].includes(status))).toEqual([]);
		await eventually(async () => expect(await quick.result()).toBe("slept"), 45_000);
		const { id } = await eventually(() => stack.client.invokeAsync(quick.name, { json: {} }), 30_000);
		await eventually(async () => expect(await stack.client.invocation(id)).toMatchObject({ outcome: "succeeded" }), 30_000);
	});
});
