import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { hostname } from "node:os";
import { schemeOf } from "@berth/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "../harness/cluster.js";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { sandboxCgroupsOf } from "../harness/leftovers.js";
import { NetRedis } from "../harness/net-redis.js";
import type { Stack } from "../harness/stack.js";

let cluster: Cluster;
let a: Stack;
let b: Stack;
beforeAll(async () => {
	cluster = await Cluster.start({
		gateways: 2,
		workers: 2,
		workerEnv: (index) => ({ BERTH_NODE_LABELS: `zone=${index === 0 ? "a" : "b"},side=${index === 0 ? "left" : "right"}` }),
	});
	[a, b] = cluster.gateways as [Stack, Stack];
});
afterAll(() => cluster?.stop());

test("what is deployed through one gateway is invoked through the other", async () => {
	const { name } = await deploy(a, { source: "export default (to) => 'hello ' + to" });
	const answer = await b.client.invoke(name, { json: "b" });
	expect(answer).toMatchObject({ outcome: "succeeded" });
});

test("bodies and answers that are no message's get from machine to machine, whole and in pieces", async () => {
	const whole = await deploy(a, { source: "export default ({ text }) => text + '!'" });
	const text = "x".repeat(300_000);
	expect(await whole.result({ text })).toBe(`${text}!`);
	const source = `export default { async fetch(request) { return new Response(request.body ?? "none"); } }`;
	const pieces = await deploy(a, { source });
	const answer = await fetch(`${b.url}/fn/default/${pieces.name}/`, {
		method: "POST",
		body: Buffer.alloc(8 << 20, "y"),
		headers: { authorization: `Bearer ${cluster.key}` },
	});
	expect((await answer.arrayBuffer()).byteLength).toBe(8 << 20);
});

test("a function invokes another one through whichever gateway its node finds", async () => {
	const inner = await deploy(a, { source: "export default (n) => n + 1" });
	const outer = await deploy(b, { source: `export default async (n, ctx) => (await ctx.invoke("${inner.name}", n)).result * 10` });
	expect(await outer.result(4)).toBe(50);
});

test("background work accepted by one gateway is run, and its result read at the other", async () => {
	const { name } = await deploy(a, { source: "export default ({ text }) => text.length" });
	const { id } = await a.client.invokeAsync(name, { json: { text: "z".repeat(100_000) } });
	expect(await b.client.settled(id)).toMatchObject({ outcome: "succeeded", result: { json: 100_000 } });
});

/** A command that follows something, from when it listens. @param provoke makes something happen that it shows */
async function followed(stack: Stack, args: readonly string[], provoke: () => Promise<unknown>) {
	const child = stack.spawn(...args);
	const said = { text: "" };
	child.stdout.setEncoding("utf8").on("data", (text) => (said.text += text));
	await eventually(async () => {
		await provoke();
		expect(said.text).toContain("\n");
	});
	const stop = async () => {
		child.kill("SIGINT");
		return (await once(child, "exit"))[0];
	};
	return { said, stop };
}

test("what functions print on any node, and how they end, comes to who follows at any gateway", async () => {
	const [ofA, ofB] = await Promise.all(
		["a", "b"].map((zone) => deploy(a, { source: `export default (n) => console.log("zone ${zone}", n)`, nodeSelector: { zone } })),
	);
	const provoke = () => Promise.all([ofA?.invoke("first"), ofB?.invoke("first")]);
	const following = [await followed(a, ["logs", "-f"], provoke), await followed(b, ["events", "-f", "--kind", "invocation"], provoke)];
	await Promise.all(["x", "y", "z"].flatMap((n) => [ofA, ofB].map((each) => each?.invoke(n))));
	const [lines, ends] = following.map(({ said }) => said);
	await eventually(() => {
		for (const zone of ["a", "b"]) for (const n of ["x", "y", "z"]) expect(lines?.text).toContain(`zone ${zone} ${n}`);
		for (const each of [ofA, ofB]) expect(ends?.text.split(`succeeded  ${each?.name} v1 `).length).toBeGreaterThan(3);
	});
	expect(ends?.text).toContain(` on ${hostname()}\n`);
	expect(await Promise.all(following.map(({ stop }) => stop()))).toEqual([0, 0]);
});

test("a delivery that one gateway took is known to the other: it isn't run twice, is followed, and is sent again, with a body that is in the bucket", async () => {
	const { name } = await deploy(a, {
		source: "export default { fetch: async (request) => new Response(String((await request.text()).length)) }",
	});
	const hook = await a.client.makeHook(name, { scheme: "github", mode: "sync" });
	const post = (to: Stack, body: string, headers: Record<string, string> = {}) =>
		fetch(to.url + hook.path, { method: "POST", body, headers });
	const tail = await followed(b, ["--json", "hooks", "tail", name, hook.name], () => post(a, "unsigned"));
	const body = JSON.stringify({ text: "x".repeat(100_000) });
	const message = { body: Buffer.from(body), id: "d1", event: "push", atMs: Date.now() };
	const signed = Object.fromEntries(schemeOf(hook.scheme).sign(message, hook.secret ?? "", hook.settings));
	for (const to of [b, a]) {
		const answer = await post(to, body, signed);
		expect([answer.status, await answer.text()]).toEqual([200, String(body.length)]);
	}
	await eventually(() => expect(tail.said.text).toMatch(/"result":"answered".*\n.*"result":"duplicate"/));
	expect(await tail.stop()).toBe(0);
	const { events } = await a.client.hookEvents(name, hook.name, { result: "answered" });
	const [again] = (await a.client.redeliver(name, hook.name, events[0]?.id ?? "")).redelivered;
	await eventually(async () =>
		expect(await b.client.hookEvent(name, hook.name, again?.as ?? "")).toMatchObject({ outcome: "succeeded", redeliveryOf: events[0]?.id }),
	);
});

test("a gateway that is started again has the streams that it began to their end, beside the next one's on a port of its own", async () => {
	const source = `export default { fetch: () => { let left = 1024; return new Response(new ReadableStream({ pull(stream) {
		if (left-- === 0) stream.close(); else stream.enqueue(new Uint8Array(65536));
	} })); } }`;
	const { name } = await deploy(a, { source });
	const [bytes, { address }] = [1024 * 65_536, cluster.machineOf(a)];
	const begin = () => fetch(`${a.url}/fn/default/${name}/`, { headers: { authorization: `Bearer ${cluster.key}` } });
	const addresses = async () =>
		(await b.client.nodes()).gateways.flatMap((each) => (each.address?.startsWith(`${address}:`) ? each.address : []));
	const [before] = await addresses();
	// More than what is between a function and who asks holds: it has begun, and isn't at its end before somebody reads.
	const old = await begin();
	const restarted = a.berth("restart", "gateway");
	await eventually(async () => expect(await addresses()).toHaveLength(2));
	const sizes = await Promise.all([old, await begin()].map(async (each) => (await each.arrayBuffer()).byteLength));
	expect(sizes).toEqual([bytes, bytes]);
	expect(await restarted).toMatchObject({ code: 0 });
	await eventually(async () => expect(await addresses()).toEqual([expect.not.stringMatching(`^${before}$`)]));
	expect((await (await begin()).arrayBuffer()).byteLength).toBe(bytes);
});

test("both gateways list both nodes with what they are and hold, and each other", async () => {
	const warm = await deploy(a, { source: "export default () => 1" });
	await warm.result();
	const listed = (await b.client.nodes()).nodes.map(({ state, engine, labels }) => ({ state, engine, zone: labels?.["zone"] }));
	expect(listed.sort((x, y) => (x.zone ?? "").localeCompare(y.zone ?? ""))).toEqual([
		{ state: "ready", engine: "oci", zone: "a" },
		{ state: "ready", engine: "oci", zone: "b" },
	]);
	const isWarm = async () => (await b.client.nodes()).nodes.flatMap(({ load }) => load?.warm ?? []).includes(`default/${warm.name}:1`);
	await expect.poll(isWarm, { timeout: 10_000 }).toBe(true);
	const { gateways } = await a.client.nodes();
	expect(gateways.map(({ address = "" }) => /:\d+$/.test(address))).toEqual([true, true]);
	const { code, stdout } = await (cluster.workers[0] as Stack).berth("doctor", "--stack");
	expect([code, stdout]).toEqual([0, expect.stringMatching(/ok +node +node_\w+ is listed on the fast Redis/)]);
});

test("a node that is drained takes nothing new in either lane, what it has begun ends there, and it works again when it is told to", async () => {
	const [node = ""] = (await a.client.nodes()).nodes.map(({ id }) => id);
	const functions = await Promise.all(
		Array.from({ length: 6 }, () => deploy(a, { source: "export default ({ ms }) => new Promise((done) => setTimeout(done, ms, ms))" })),
	);
	const runOn = async (ms: number) => {
		const waited = await Promise.all(functions.map((each) => each.invoke({ ms })));
		const records = await Promise.all(waited.map(({ id }) => b.client.invocation(id as string)));
		return records.map(({ outcome, node }) => ({ outcome, node }));
	};
	const before = runOn(1500);
	await eventually(async () => expect((await a.client.drainOf(node)).interactive).toBeGreaterThan(0));
	const { code, stdout } = await a.berth("drain", node, "--wait", "--json");
	expect([code, JSON.parse(stdout)]).toEqual([0, { node, draining: true, interactive: 0, background: 0, builds: 0, otherNodes: 1 }]);
	expect((await before).map(({ outcome }) => outcome)).toEqual(functions.map(() => "succeeded"));
	await eventually(async () => expect((await b.client.nodes()).nodes.find(({ id }) => id === node)?.state).toBe("draining"));
	expect((await runOn(1)).filter((each) => each.node === node || each.outcome !== "succeeded")).toEqual([]);
	const { id } = await a.client.invokeAsync(functions[0]?.name ?? "", { json: { ms: 1 } });
	expect((await b.client.settled(id)).node).not.toBe(node);
	// Whoever drains the last one hears what comes of it.
	const [last = ""] = (await b.client.nodes()).nodes.flatMap(({ id, state }) => (state === "ready" ? [id] : []));
	expect(await b.berth("drain", last)).toMatchObject({
		code: 0,
		stderr: expect.stringMatching(/may be stopped[\s\S]*no other node takes work/),
	});
	expect((await b.berth("drain", last, "--undo")).stderr).not.toContain("no other node");
	expect(await b.client.undrain(node)).toMatchObject({ draining: false });
	await eventually(async () => expect((await a.client.nodes()).nodes.find(({ id }) => id === node)?.state).toBe("ready"));
	await expect(a.client.drain("nobody")).rejects.toMatchObject({ problem: { code: "not_found" } });
});

test("a gateway that is told to stop says so to what stands in front, and serves whoever comes until that has heard", async () => {
	const { name } = await deploy(a, { source: "export default () => 1" });
	const leaving = await cluster.addGateway({ BERTH_GATEWAY_DRAIN_MS: "4000" });
	cluster.gateways.pop();
	await using _left = leaving;
	const { url } = leaving;
	const { gateways } = await a.client.nodes();
	const stopped = leaving.down();
	await eventually(async () => expect(await (await fetch(`${url}/readyz`)).text()).toContain("this gateway is about to stop"));
	const headers = { authorization: `Bearer ${cluster.key}` };
	const asked = fetch(`${url}/v1/functions/${name}/invocations`, { method: "POST", headers });
	const [answer, { code, stdout }] = await Promise.all([asked, leaving.berth("doctor", "--stack")]);
	expect([answer.status, answer.headers.get("connection"), await answer.text()]).toEqual([200, "close", "1"]);
	expect([code, stdout]).toEqual([1, expect.stringMatching(/FAILED +stack +It is stopping/)]);
	await stopped;
	await expect(fetch(`${url}/livez`)).rejects.toThrow("fetch failed");
	// It has said that it goes, and isn't waited for.
	const left = async () => gateways.length - (await a.client.nodes()).gateways.length;
	await expect.poll(left, { timeout: 10_000 }).toBe(1);
});

test("a machine whose two Redis servers are of two stacks is refused, and told which is whose", async () => {
	await using other = await NetRedis.start("always", cluster.durable.host);
	const said =
		/can't be of this stack: the durable Redis is that of stack \w{8} here, and of stack \w{8} for .*BERTH_DURABLE_REDIS_URL and BERTH_FAST_REDIS_URL/;
	await expect(cluster.addWorker({ BERTH_DURABLE_REDIS_URL: other.url })).rejects.toThrow(said);
	const inUse =
		/can't be of this stack: the durable Redis is in use with the fast Redis \w{8} \(by .*, last\).*BERTH_FAST_REDIS_URL has to name the same/;
	const fast = { BERTH_FAST_REDIS_URL: other.url };
	const [worker, gateway] = await Promise.allSettled([cluster.addWorker(fast), cluster.addGateway(fast)]);
	for (const each of [worker, gateway]) expect(String(each.status === "rejected" && each.reason)).toMatch(inUse);
});

test("a machine without the key that the stack seals with is told which machines have it, rather than making its own, where nothing but the Redis servers says that there are any", async () => {
	const joins = cluster.addWorker({ BERTH_SECRETS_KEY: "", BERTH_ROLES: "" });
	const said = await joins.then(() => "it has joined", String);
	// A gateway is known by its address, a worker by its host.
	const addresses = cluster.gateways.map((gateway) => cluster.machineOf(gateway).address);
	const named = /the stack is up on (.*); copy the key of a machine of the stack/.exec(said)?.[1];
	expect(named?.split(", ").sort(), said).toEqual([...addresses, hostname()].sort());
});

test("a selector holds in both lanes, for whoever asks; without such a node it warns, waits, and is refused", async () => {
	const nodes = (await a.client.nodes()).nodes;
	const inB = nodes.find(({ labels }) => labels?.["zone"] === "b")?.id;
	const source = "export default () => 1";
	const onlyB = await deploy(a, { source, nodeSelector: { zone: "b" } });
	const asks = await deploy(a, { source: `export default async (_, ctx) => (await ctx.invoke("${onlyB.name}")).result` });
	const [here, there] = await Promise.all([a.client.invoke(onlyB.name), b.client.invoke(onlyB.name)]);
	const { id } = await a.client.invokeAsync(onlyB.name);
	await a.client.settled(id);
	const records = await Promise.all([here.id, there.id, id].map((each) => a.client.invocation(each as string)));
	expect(records.map(({ node }) => node)).toEqual([inB, inB, inB]);
	expect(await asks.result()).toBe(1);

	const { name } = onlyB;
	const { version, warnings } = await a.client.deploy(name, { source, nodeSelector: { zone: "c" } }, { wait: true });
	expect(warnings).toEqual([expect.stringContaining("has the labels zone=c")]);
	expect(version.state).toBe("ready");
	await expect(b.client.invoke(name)).rejects.toMatchObject({ problem: { code: "no_matching_node", status: 503 } });
	const waiting = await a.client.invokeAsync(name);
	await expect.poll(async () => (await b.client.invocation(waiting.id)).waitsFor).toContain("has the labels zone=c");
	await cluster.addWorker({ BERTH_NODE_LABELS: "zone=c,side=right" });
	expect(await a.client.settled(waiting.id)).toMatchObject({ outcome: "succeeded" });
});

/** Has these nodes alone take what begins from now on, and waits until both gateways know. */
async function placeOnlyOn(nodes: readonly string[], all: readonly string[]): Promise<void> {
	await Promise.all(all.map((each) => (nodes.includes(each) ? a.client.undrain(each) : a.client.drain(each))));
	await Promise.all([a, b].map(({ client }) => eventually(async () => expect(await readyAt(client)).toEqual([...nodes].sort()))));
}

async function readyAt(client: Stack["client"]): Promise<readonly string[]> {
	return (await client.nodes()).nodes.flatMap(({ id, state }) => (state === "ready" ? [id] : [])).sort();
}

/** Invocations that the fast Redis knows not to have begun: whoever begins one that is marked takes its mark, which stays until it is over. */
const COUNT_UNBEGUN = `
	local count = 0
	for _, key in ipairs(redis.call("KEYS", "berth:unbegun:*")) do
		for _, owner in ipairs(redis.call("HVALS", key)) do
			if string.sub(owner, 1, 5) == "free:" then count = count + 1 end
		end
	end
	return count
`;

function marksOfUnbegun(): number {
	return Number(execFileSync("redis-cli", ["-u", cluster.fast.url, "EVAL", COUNT_UNBEGUN, "0"], { encoding: "utf8" }));
}

test("a node is killed and another cut off from Redis: what had begun for somebody who waits is lost, and says so; all else is done on the one that is left, and nothing goes on elsewhere", async () => {
	const nodes = (await a.client.nodes()).nodes;
	const all = ["a", "b", "c"].map((zone) => nodes.find(({ labels }) => labels?.["zone"] === zone)?.id as string);
	const [cutOff, killed, left] = all as [string, string, string];
	const [ofCutOff, ofKilled] = cluster.workers as [Stack, Stack];
	const source = "export default ({ ms }, { attempt }) => (attempt > 1 ? 'again' : new Promise((done) => setTimeout(done, ms, 'late')))";
	const background = await deploy(a, { source });
	const begin = async (ms: number) => (await b.client.invokeAsync(background.name, { json: { ms } })).id;
	// One at a time: the others are in a node's hands and wait for its sandbox. None of them goes to the node that is cut off.
	const waits = "export default ({ ms }) => new Promise((done) => setTimeout(done, ms, ms))";
	const single = await deploy(b, { source: waits, concurrency: 1, nodeSelector: { side: "right" } });
	const invoke = (ms: number) => a.client.invoke(single.name, { json: { ms } }).catch((error: unknown) => error);
	const inHand = async (node: string) => {
		const { interactive, background: jobs } = await b.client.drainOf(node);
		return [interactive, jobs] as const;
	};

	await placeOnlyOn([cutOff], all);
	const ids = [await begin(25_000)];
	const sandbox = await eventually(async () => {
		const busy = (await a.client.sandboxes()).filter((each) => each.function === background.name && each.state === "busy");
		expect(busy).toEqual([expect.objectContaining({ node: cutOff })]);
		return busy[0]?.id;
	});
	await placeOnlyOn([killed], all);
	ids.push(await begin(25_000));
	const begun = invoke(25_000);
	await eventually(async () => expect(await inHand(killed)).toEqual([1, 1]));
	await placeOnlyOn([cutOff, killed], all);
	// Last, since none of it is for long: these wait as long as a start may take, and those end when one of both can tell nobody, and the other one is no more.
	const waiting = Promise.all([1, 2, 3].map(invoke));
	ids.push(...(await Promise.all([4000, 4000, 4000, 4000].map(begin))));
	await eventually(async () => {
		const [[, onOne], [interactive, onOther]] = await Promise.all([inHand(cutOff), inHand(killed)]);
		// That it hasn't begun is written down once it is so for a while; who dies before has perhaps begun it.
		expect([interactive, marksOfUnbegun(), onOne + onOther]).toEqual([4, 3, ids.length]);
	});

	const pids = await Promise.all([ofKilled.supervisorPid(), ofKilled.pidOf("launcher"), ofKilled.pidOf("worker")]);
	cluster.machineOf(ofCutOff).cutOff([cluster.durable.host, cluster.fast.host]);
	for (const pid of pids) process.kill(pid, "SIGKILL");
	await a.client.undrain(left);
	const doneElsewhere = { outcome: "succeeded", attempt: 2, node: left, result: { text: "again" } };
	for (const id of ids) {
		expect(await a.client.settled(id, { signal: AbortSignal.timeout(45_000) })).toMatchObject(doneElsewhere);
		// Before somebody else had it, it was over where it had been.
		expect(sandboxCgroupsOf(ofCutOff.dataDir)).not.toContain(sandbox);
	}
	expect(await begun).toMatchObject({ problem: { code: "worker_lost", retryable: true } });
	expect(await waiting).toEqual([1, 2, 3].map(() => expect.objectContaining({ outcome: "succeeded" })));

	cluster.machineOf(ofCutOff).mend();
	await eventually(async () => expect(await readyAt(a.client)).toEqual([cutOff, left].sort()), 45_000);
	for (const id of ids) expect(await b.client.invocation(id)).toMatchObject(doneElsewhere);
});
