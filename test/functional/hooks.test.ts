import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** A directory that goes with its user. */
async function temporary() {
	const path = await mkdtemp(join(tmpdir(), "berth-hooks-"));
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

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

	it("is a person's with the command line: made, tried, changed, looked up, redelivered, removed, as text and as documents", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		await using directory = await temporary();
		const [good, bad] = [join(directory.path, "good.json"), join(directory.path, "bad.json")];
		await Promise.all([writeFile(good, '{"n":1}'), writeFile(bad, '{"fail":true}')]);
		const run = (...args: readonly string[]) => stack.berth("hooks", ...args);
		const told = async <T = Record<string, unknown>>(...args: readonly string[]) => {
			const { code, stdout, stderr } = await stack.berth("--json", "hooks", ...args);
			if (code !== 0) throw new Error(`berth hooks ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
			return JSON.parse(stdout) as T;
		};
		type Made = { readonly url: string; readonly secret: string };
		const { url, secret } = await told<Made>("create", name, "--scheme", "github", "--name", "shop", "--mode", "sync", "--event", "push");
		const deliver = (file: string, signedWith: string, ...more: readonly string[]) =>
			stack.berthGiven(signedWith, ...more, "hooks", "send", file, "--to", url, "--scheme", "github", "--event", "push", "--secret-stdin");

		const [sent, failed, listed, list, shown, nothing] = await Promise.all([
			deliver(good, secret),
			deliver(bad, secret, "--json"),
			run("list", name),
			told<{ readonly hooks: readonly object[] }>("list", name),
			run("inspect", name, "shop"),
			run("update", name, "shop"),
		]);
		expect([sent.code, sent.stderr, sent.stdout]).toEqual([0, "200\n", expect.stringContaining('"body":"{\\"n\\":1}"')]);
		expect([failed.code, JSON.parse(failed.stdout)]).toMatchObject([1, { status: 502, body: expect.stringContaining("handler_error") }]);
		expect(listed.stdout).toMatch(new RegExp(`shop +github +sync +push .*${url}`));
		expect(list.hooks).toMatchObject([{ name: "shop", url }]);
		expect([shown.code, shown.stdout.includes(url), shown.stdout.includes(secret)]).toEqual([0, true, false]);
		expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining("nothing is to be changed")]);

		const [changed, found, table, neither] = await Promise.all([
			told("update", name, "shop", "--event", "push", "--event", "ping"),
			told<{ readonly events: readonly { readonly id: string }[] }>("events", name, "shop", "--result", "failed"),
			run("events", name, "shop"),
			run("redeliver", name, "shop"),
		]);
		expect(changed).toMatchObject({ events: ["push", "ping"] });
		const id = found.events[0]?.id ?? "";
		expect([found.events.length, table.stdout]).toEqual([1, expect.stringMatching(new RegExp(`${id} .*failed.*502`))]);
		expect([neither.code, neither.stderr]).toEqual([2, expect.stringContaining("--failed-since")]);

		const [one, again, rotated] = await Promise.all([
			run("events", name, "shop", id),
			run("redeliver", name, "shop", id),
			told<Made>("rotate", name, "shop", "--overlap", "0s"),
		]);
		expect(one.stdout).toMatch(/result +failed\nreason +Error: as asked\n[\s\S]*status +502\n[\s\S]*\n\n\{"fail":true\}\n$/);
		expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(new RegExp(`^${id} again as evt_\\w+: inv_\\w+\n$`))]);

		const [before, now] = await Promise.all([deliver(good, secret), deliver(good, rotated.secret)]);
		expect([before.code, before.stderr, now.code, now.stderr]).toEqual([1, "401\n", 0, "200\n"]);
		expect(await told("remove", name, "shop")).toEqual({ removed: `${name}/shop` });
		// Whether there is a hook at a URL is nobody's to know who isn't let in.
		const [gone, none] = await Promise.all([deliver(good, rotated.secret), run("list", name)]);
		expect([gone.code, gone.stderr]).toEqual([1, "401\n"]);
		expect(none.stderr).toContain(`${name} has no hook.`);
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
