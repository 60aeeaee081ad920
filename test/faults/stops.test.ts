import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture } from "../harness/functions.js";
import { leftoversOf } from "../harness/leftovers.js";
import { type Command, Stack } from "../harness/stack.js";
import { OWN, restartUnderLoad } from "./restarts.js";

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
});
afterAll(async () => {
	await stack?.stop();
});

describe("a stack that is stopped while it works", () => {
	it("finishes what somebody waits for, and leaves nothing", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		await deployed.result();
		const invoked = deployed.invoke({ ms: 2000 });
		await eventually(async () => {
			const busy = (await stack.client.sandboxes()).filter((each) => each.function === deployed.name && each.state === "busy");
			expect(busy).toHaveLength(1);
		});
		const [answer] = await Promise.all([invoked, stack.down()]);
		expect(answer.outcome).toBe("succeeded");
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		await stack.up();
	});

	it("runs what it had acknowledged and not begun when it is up again", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps"), concurrency: 1 });
		const ids = await Promise.all(
			Array.from({ length: 10 }, async () => (await stack.client.invokeAsync(deployed.name, { json: { ms: 500 } })).id),
		);
		await stack.down();
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		await stack.up();
		await eventually(async () => {
			const records = await Promise.all(ids.map((id) => stack.client.invocation(id)));
			expect(records.map(({ outcome }) => outcome)).toEqual(ids.map(() => "succeeded"));
		}, 60_000);
	});

	it("answers at its port before what waited in the background is done, though each of it needs a sandbox of its own", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps"), concurrency: 4, reuse: "never" });
		const accept = () => stack.client.invokeAsync(deployed.name, { json: { ms: 1 } });
		for (let time = 0; time < 4; time++) await Promise.all(Array.from({ length: 50 }, accept));
		await stack.down();
		await stack.up();
		const waiting = await stack.client.invocations({ function: deployed.name, state: "queued" });
		expect(waiting.invocations.length).toBeGreaterThan(0);
		await stack.client.remove(deployed.name);
	});

	it("has a worker that ends what it has when it alone is told to stop, and the next one takes on", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		await deployed.result();
		const invoked = deployed.invoke({ ms: 3000 });
		await eventually(async () => {
			const busy = (await stack.client.sandboxes()).filter((each) => each.function === deployed.name && each.state === "busy");
			expect(busy).toHaveLength(1);
		});
		const worker = await stack.pidOf("worker");
		process.kill(worker, "SIGTERM");
		expect((await invoked).outcome).toBe("succeeded");
		await eventually(async () => {
			expect(await stack.pidOf("worker")).not.toBe(worker);
			expect((await deployed.invoke({ ms: 1 })).outcome).toBe("succeeded");
		}, 30_000);
	});

	it("leaves nothing, though its launcher was killed a moment before", async () => {
		process.kill(await stack.pidOf("launcher"), "SIGKILL");
		await stack.down();
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		await stack.up();
	});

	it("is down at once when it is asked to while it starts", async () => {
		await stack.down();
		const starting = stack.berth("up", "--detach", "--json", "--port", "0");
		await eventually(async () => expect(await stack.supervisorPid()).toBeGreaterThan(0));
		await stack.down();
		await starting;
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		await stack.up();
	});
});

describe("a stack whose processes are started again, each of the five, while it is used", () => {
	it("fails no invocation, refuses no connection, and goes on with what waits in the background", async () => {
		const deployed = await deploy(stack, { source: fixture("sleeps") });
		const slow = await deploy(stack, { source: fixture("sleeps"), concurrency: 1 });
		const ids = await Promise.all(
			Array.from({ length: 10 }, async () => (await stack.client.invokeAsync(slow.name, { json: { ms: 300 } })).id),
		);
		expect((await restartUnderLoad(stack, deployed, OWN)).failures).toEqual([]);
		// Of the Redis servers it is said that they are away, and nothing that they acknowledged is lost.
		const { failures } = await restartUnderLoad(stack, deployed, ["redis-fast", "redis-durable"]);
		expect(failures.filter((told) => !/^(?:unavailable|platform_error|worker_lost):/.test(told))).toEqual([]);
		await eventually(async () => {
			const records = await Promise.all(ids.map((id) => stack.client.invocation(id)));
			// None was begun twice: what ran was waited for.
			expect(records.map(({ outcome, attempt }) => [outcome, attempt])).toEqual(ids.map(() => ["succeeded", 1]));
		}, 30_000);
	});

	it("says which there are to somebody who asks for another", async () => {
		expect(await stack.berth("restart", "gatway")).toMatchObject({
			code: 1,
			stderr: "error: there is no process gatway here: redis-durable, redis-fast, launcher, worker, gateway\n",
		});
	});
});

describe("a stack in the foreground", () => {
	/** Its exit code after Ctrl-C, once `seen`. */
	async function interrupted(args: readonly string[], seen: (up: Command) => Promise<unknown>): Promise<number | null> {
		const up = stack.spawn("up", "--json", "--port", "0", ...args);
		const ended = once(up, "exit");
		await seen(up);
		up.kill("SIGINT");
		return (await ended)[0];
	}
	const starting = () => eventually(async () => expect(await stack.supervisorPid()).toBeGreaterThan(0));

	it("is done when Ctrl-C stops it, interrupted when that is before it was ready, and leaves nothing either way", async () => {
		await stack.down();
		expect(await interrupted([], (up) => once(up.stdout, "data"))).toBe(0);
		expect(leftoversOf(stack.dataDir)).toEqual([]);
		expect(await interrupted([], starting)).toBe(130);
		expect(await interrupted(["--detach"], starting)).toBe(130);
		// The supervisor in the background is no child of the command's: it has stopped everything, and may have its own end still before it.
		await eventually(() => expect(leftoversOf(stack.dataDir)).toEqual([]));
		await stack.up();
	});
});
