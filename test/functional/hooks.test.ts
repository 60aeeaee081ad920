import { once } from "node:events";
import { type HookWithSecret, schemeOf } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

/** Answers with what it was asked, and counts; `{"fail": true}` makes it throw. */
const SOURCE = `
let count = 0;
export default { async fetch(request) {
	const body = await request.text();
	if (body.includes('"fail":true')) throw new Error("as asked");
	return Response.json({ count: ++count, body, hook: request.headers.get("berth-hook"), token: request.headers.get("x-token") });
} };`;

function delivery(hook: HookWithSecret, body: string, id = "d1") {
	const message = { body: Buffer.from(body), id, event: "push", atMs: Date.now() };
	return {
		path: hook.path,
		key: null,
		method: "POST",
		body,
		headers: schemeOf(hook.scheme).sign(message, hook.secret ?? "", hook.settings),
	};
}

describe("a hook of a function", () => {
	it("is answered by it, once, and only when it is signed; its log follows live", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		const hook = await stack.client.makeHook(name, { scheme: "github", mode: "sync" });
		const tail = stack.spawn("--json", "hooks", "tail", name, "github");
		let told = "";
		tail.stdout.setEncoding("utf8").on("data", (text) => (told += text));
		const body = '{ "raw": 1.0 }';
		// What comes before the tail listens isn't shown by it.
		await eventually(async () => {
			await send(stack, { path: hook.path, key: null, method: "POST", body });
			expect(told).toContain('"result":"refused"');
		});
		const answer = await send(stack, delivery(hook, body));
		expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([200, { count: 1, body, hook: "github", token: null }]);
		expect((await send(stack, delivery(hook, body))).body).toEqual(answer.body);
		expect((await send(stack, { ...delivery(hook, body), body: '{ "raw": 1.1 }' })).status).toBe(401);
		await eventually(() => expect(told).toMatch(/"result":"answered".*\n.*"result":"duplicate"/));
		tail.kill("SIGINT");
		expect((await once(tail, "exit"))[0]).toBe(0);
	});

	it("runs in the background; what failed there is found, and redelivered", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		const hook = await stack.client.makeHook(name, { scheme: "standard-webhooks" });
		const since = new Date(Date.now() - 1000).toISOString();
		const good = await send(stack, delivery(hook, "{}", "good"));
		expect(good.status).toBe(202);
		expect((await send(stack, delivery(hook, '{"fail":true}', "bad"))).status).toBe(202);
		const { id } = await eventually(async () => {
			const { events } = await stack.client.hookEvents(name, hook.name, { result: "failed" });
			expect(events.map(({ deliveryId, outcome }) => [deliveryId, outcome])).toEqual([["bad", "handler_error"]]);
			return events[0] as { id: string };
		});
		await stack.client.deploy(name, { source: SOURCE.replace("throw new", "void new") });
		const { redelivered } = await stack.client.redeliverFailed(name, hook.name, since);
		expect(redelivered.map(({ event }) => event)).toEqual([id]);
		await eventually(async () => {
			const again = await stack.client.hookEvent(name, hook.name, redelivered[0]?.as ?? "");
			expect(again).toMatchObject({ outcome: "succeeded", redeliveryOf: id, body: { text: '{"fail":true}' } });
		});
		expect((await stack.client.hookEvents(name, hook.name, { result: "failed" })).events.map((event) => event.redeliveredAs)).toEqual([
			redelivered[0]?.as,
		]);
	});

	it("is remembered through a gateway that is killed: what was let in isn't run again", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		const hook = await stack.client.makeHook(name, { scheme: "token", mode: "sync", settings: { header: "x-token", idHeader: "x-id" } });
		const first = await send(stack, delivery(hook, "{}"));
		expect(JSON.parse(first.body.toString())).toMatchObject({ count: 1, token: null });
		await stack.killAndAwaitNext("gateway");
		await eventually(async () => expect((await send(stack, delivery(hook, "{}"))).body).toEqual(first.body));
	});
});
