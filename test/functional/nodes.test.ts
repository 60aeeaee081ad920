import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "../harness/cluster.js";
import { deploy } from "../harness/functions.js";
import type { Stack } from "../harness/stack.js";

let cluster: Cluster;
let a: Stack;
let b: Stack;
beforeAll(async () => {
	cluster = await Cluster.start({ gateways: 2, workers: 2 });
	[a, b] = cluster.gateways as [Stack, Stack];
});
afterAll(() => cluster?.stop());

test("what is deployed through one gateway is invoked through the other", async () => {
	const { name } = await deploy(a, { source: "export default (to) => 'hello ' + to" });
	const answer = await b.client.invoke(name, { json: "b" });
	expect(answer).toMatchObject({ outcome: "succeeded" });
});
