import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { World } from "../../packages/launcher/src/testing/world.js";
import { deploy } from "../harness/functions.js";
import { wirePrefixOf } from "../harness/leftovers.js";
import { Stack } from "../harness/stack.js";

let world: World;
let stack: Stack;

beforeAll(async () => {
	world = await World.make();
	stack = await Stack.start({
		BERTH_RESOLVER: world.resolver,
		BERTH_HOST_NETWORK: "permitted",
		BERTH_PREWARMED: "2",
		BERTH_PREWARMED_BUILDS: "1",
	});
});
afterAll(async () => {
	await stack.stop();
	await world[Symbol.asyncDispose]();
});

const ASKS = `export default async ({ url }) => {
	try { return await (await fetch(url, { signal: AbortSignal.timeout(3000) })).text(); } catch (error) { return error.cause?.code ?? error.name; } }`;

describe("network: internet", () => {
	it("lets a prewarmed sandbox out: names resolve, and what answers sees this host", async () => {
		const asks = await deploy(stack, { network: "internet", source: ASKS });
		const answer = await asks.invoke({ url: "http://service.example/" });
		expect([answer.outcome, answer.raw.body.toString()]).toEqual(["succeeded", world.hostEnd]);
		expect((await asks.record(answer)).start).toBe("prewarmed");
	});

	it("lets Python out, too", async () => {
		const source = `
import urllib.request
def handler(event, context):
    return urllib.request.urlopen(event["url"], timeout=3).read().decode()`;
		const asks = await deploy(stack, { runtime: "python3", network: "internet", source });
		expect(await asks.result({ url: "http://service.example/" })).toBe(world.hostEnd);
	});

	it("keeps everybody from this host and from private networks; a function without it from everything", async () => {
		const inside = [
			stack.url,
			`http://${world.hostEnd}/`,
			"http://169.254.169.254/",
			...world.notForSandboxes.map((address) => `http://${address}/`),
		];
		const [asks, none] = [await deploy(stack, { network: "internet", source: ASKS }), await deploy(stack, { source: ASKS })];
		for (const url of inside) expect(await asks.result({ url }), url).toMatch(/^E/);
		for (const url of ["http://service.example/", `http://${world.publicAddress}/`]) expect(await none.result({ url }), url).toMatch(/^E/);
	});

	it("goes on after a kill -9 of the launcher, which leaves no wire", async () => {
		const asks = await deploy(stack, { network: "internet", source: ASKS });
		expect(await asks.result({ url: "http://service.example/" })).toBe(world.hostEnd);
		await stack.killAndAwaitNext("launcher");
		await expect.poll(() => asks.result({ url: "http://service.example/" }).catch(String), { timeout: 30_000 }).toBe(world.hostEnd);
		const wires = execFileSync("ip", ["-o", "link"], { encoding: "utf8" })
			.split("\n")
			.filter((line) => line.includes(wirePrefixOf(stack.dataDir)));
		expect(wires).toHaveLength(1);
	});
});

it("network: host is this machine's own", async () => {
	const asks = await deploy(stack, { network: "host", source: ASKS });
	expect(await asks.result({ url: `${stack.url}/livez` })).toContain("ok");
});
