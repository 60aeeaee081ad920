import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "../harness/cluster.js";
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
