import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "../harness/cluster.js";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import type { Stack } from "../harness/stack.js";

let cluster: Cluster;
let a: Stack;
let b: Stack;
beforeAll(async () => {
	cluster = await Cluster.start({
		gateways: 2,
		workers: 2,
		workerEnv: (index) => ({ BERTH_NODE_LABELS: `zone=${index === 0 ? "a" : "b"},rank=${index}` }),
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
	expect([code, JSON.parse(stdout)]).toEqual([0, { node, draining: true, interactive: 0, background: 0, builds: 0 }]);
	expect((await before).map(({ outcome }) => outcome)).toEqual(functions.map(() => "succeeded"));
	await eventually(async () => expect((await b.client.nodes()).nodes.find(({ id }) => id === node)?.state).toBe("draining"));
	expect((await runOn(1)).filter((each) => each.node === node || each.outcome !== "succeeded")).toEqual([]);
	const { id } = await a.client.invokeAsync(functions[0]?.name ?? "", { json: { ms: 1 } });
	expect((await b.client.settled(id)).node).not.toBe(node);
	expect(await b.client.undrain(node)).toMatchObject({ draining: false });
	await eventually(async () => expect((await a.client.nodes()).nodes.find(({ id }) => id === node)?.state).toBe("ready"));
	await expect(a.client.drain("nobody")).rejects.toMatchObject({ problem: { code: "not_found" } });
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
	await expect.poll(async () => (await b.client.invocation(waiting.id)).waitsFor, { timeout: 5000 }).toContain("has the labels zone=c");
	await cluster.addWorker({ BERTH_NODE_LABELS: "zone=c" });
	expect(await a.client.settled(waiting.id)).toMatchObject({ outcome: "succeeded" });
});
