import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "./testing/stack.js";

let server: RedisServer;
let stack: Stack;
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	await stack.close();
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

/** A gateway with a volume on record whose node has another id than the one that is up, and answers everything. */
async function start(hasOneNode: boolean): Promise<void> {
	stack = await startStack(server.url, { hasOneNode });
	const { volumes } = stack.services.functions;
	await volumes.begin("default", "data", { sizeMiB: 16, node: "node_away" });
	await volumes.made("default", "data");
}
const statusOf = async (method: "PUT" | "DELETE") => {
	const body = method === "PUT" ? { body: '{"sizeMiB":16}' } : {};
	return (await stack.fetch("/v1/volumes/data", { method, ...body })).status;
};

test("a volume whose node is away is neither made anew on another one nor forgotten: its data is there", async () => {
	await start(false);
	expect([await statusOf("PUT"), await statusOf("DELETE")]).toEqual([503, 503]);
	expect(await stack.services.functions.volumes.get("default", "data")).toMatchObject({ node: "node_away" });
});

test("a volume of a node that there can be only one of is asked of it, whatever its id is now", async () => {
	await start(true);
	expect([await statusOf("PUT"), await statusOf("DELETE")]).toEqual([200, 204]);
});
