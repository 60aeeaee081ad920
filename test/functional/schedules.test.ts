import type { Schedule } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

async function schedules(...args: readonly string[]): Promise<Schedule> {
	const { code, stdout, stderr } = await stack.berth("--json", "schedules", ...args);
	if (code !== 0) throw new Error(`${stdout}${stderr}`);
	return JSON.parse(stdout) as Schedule;
}

describe("a schedule", () => {
	it("fires by the clock, each time once, also through a gateway that is killed, until it is paused", async () => {
		const { name } = await deploy(stack, { source: "export default (payload, ctx) => ({ payload, ...ctx.schedule })" });
		await schedules("create", name, "--every", "1s", "--overlap", "queue", "--missed", "all", "-d", '{"n":1}');
		const firedSince = (after: number) =>
			eventually(async () => {
				const { runs } = await stack.client.schedule(name, "every");
				const fired = runs.filter(({ outcome }) => outcome === "succeeded");
				expect(fired.length).toBeGreaterThan(after);
				return fired;
			});
		const before = await firedSince(0);
		await stack.killAndAwaitNext("gateway");
		await firedSince(before.length + 1);
		expect(await schedules("pause", name, "every")).toMatchObject({ state: "paused", next: [] });
		const all = await eventually(async () => {
			const { runs, queued } = await stack.client.schedule(name, "every");
			expect([queued, runs.every(({ outcome }) => outcome === "succeeded")]).toEqual([0, true]);
			return runs;
		});
		const dues = all.map(({ dueAt }) => Date.parse(dueAt)).reverse();
		expect(dues).toEqual(dues.map((_, at) => (dues[0] as number) + 1000 * at));
		expect(new Set(all.map(({ invocation }) => invocation)).size).toBe(all.length);
		const record = await stack.client.invocation(all[0]?.invocation ?? "");
		expect(record.result).toMatchObject({ json: { payload: { n: 1 }, name: "every", dueAt: all[0]?.dueAt } });
		const { code } = await stack.berth("schedules", "rm", name, "every");
		expect([code, await stack.client.schedules(name)]).toEqual([0, []]);
	});

	it("is told to whatever handles it, and is nobody else's to claim", async () => {
		const fetches = `export default { fetch: (request) => new Response(request.headers.get("berth-schedule") + " " + request.headers.get("berth-schedule-kind")) }`;
		const python =
			"def handler(event, context):\n    return [event, context.schedule and context.schedule.name, context.schedule and context.schedule.kind]\n";
		for (const [source, runtime, wanted] of [
			[fetches, "node24", { text: "later manual" }],
			[python, "python3", { json: [{ n: 1 }, "later", "manual"] }],
		] as const) {
			const { name } = await deploy(stack, { source, runtime });
			await stack.client.makeSchedule(name, { name: "later", at: "2099-01-01T00:00:00Z", payload: { n: 1 } });
			const { invocation } = await stack.client.runSchedule(name, "later");
			await eventually(async () => expect((await stack.client.invocation(invocation)).result).toMatchObject(wanted));
			const forged = [
				["content-type", "application/json"],
				["berth-schedule", "later"],
				["berth-schedule-kind", "due"],
			] as const;
			const paths = [`/v1/functions/${name}/invocations`, `/fn/default/${name}/`];
			for (const path of paths)
				expect((await send(stack, { path, method: "POST", body: "1", headers: forged })).body.toString()).not.toMatch(/later|due/);
		}
	});
});
