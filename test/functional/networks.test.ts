import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { World } from "../../packages/launcher/src/testing/world.js";
import { deploy } from "../harness/functions.js";
import { wirePrefixOf } from "../harness/leftovers.js";
import { ASKS, CALLS, call } from "../harness/network-probes.js";
import { Stack } from "../harness/stack.js";
import { certify, egress } from "./egress.js";

let world: World;
let directory: string;
let stack: Stack;

beforeAll(async () => {
	world = await World.make();
	directory = await mkdtemp(join(tmpdir(), "egress-"));
	await chmod(directory, 0o755);
	certify(directory);
	stack = await Stack.start({
		BERTH_RESOLVER: world.resolver,
		BERTH_EGRESS_CA_FILE: join(directory, "certificate.pem"),
		BERTH_HOST_NETWORK: "permitted",
		BERTH_PREWARMED: "2",
		BERTH_PREWARMED_BUILDS: "1",
	});
});
afterAll(async () => {
	await stack.stop();
	await world[Symbol.asyncDispose]();
	await rm(directory, { recursive: true });
});

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
    return urllib.request.urlopen(event["url"], timeout=10).read().decode()`;
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

egress(() => ({ stack, world, directory }));

describe("network: {join}", () => {
	const ask = (name: string, body: Parameters<typeof call>[2]) => call(stack, name, body);

	beforeAll(async () => {
		for (const name of ["shop", "bank"]) await stack.client.makeNetwork(name);
		for (const [name, network] of [
			["orders", { join: "shop" }],
			["stock", { join: "shop" }],
			["vault", { join: "bank" }],
			["lonely", "none"],
			["outside", "internet"],
		] as const)
			await deploy(stack, { name, network, source: CALLS });
	});

	it("a function reaches another one by its name: an invocation of the project's, on record, that says who asks", async () => {
		const { answers } = await ask("orders", {
			urls: ["http://stock/items?id=7"],
			headers: { "berth-caller": "vault", "berth-joined": "{}" },
		});
		const [status, text, id] = answers[0] as [number, string, string];
		const seen = JSON.parse(text) as { readonly url: string; readonly caller: string };
		expect([status, seen.caller, new URL(seen.url).pathname + new URL(seen.url).search]).toEqual([200, "orders", "/items?id=7"]);
		expect(await stack.client.invocation(id)).toMatchObject({
			function: "stock",
			outcome: "succeeded",
			parent: { function: "orders" },
			depth: 1,
		});
	});

	it("asks in nobody else's name: what a request says of who asks isn't believed, and no other network's function runs", async () => {
		const parent = { id: "inv_x", function: "vault" };
		for (const depth of [0, 9]) {
			const word = { project: "default", function: "vault", parent, depth, deadlineMs: 1e15, async: depth > 0 };
			const headers = { "berth-invoking": JSON.stringify(word), "Berth-Callback-Url": "http://stock/", "berth-timeout-ms": "9000" };
			const { answers } = await ask("orders", { urls: ["http://stock/mine"], headers });
			const [status, text, id] = answers[0] as [number, string, string];
			expect([status, JSON.parse(text)]).toEqual([
				200,
				expect.objectContaining({ caller: "orders", url: expect.stringMatching(/\/mine$/) }),
			]);
			expect(await stack.client.invocation(id)).toMatchObject({ function: "stock", parent: { function: "orders" }, depth: 1 });
		}
		expect((await stack.client.invocations({ function: "vault" })).invocations).toEqual([]);
	});

	it("reaches no function of another network or of none, and nothing else; nobody who isn't on it reaches in", async () => {
		const { answers } = await ask("orders", {
			urls: ["http://vault/", "http://lonely/", "http://nobody/", "http://service.example/", `http://${world.publicAddress}/`, stack.url],
		});
		expect(answers.slice(0, 3).map(([status]) => status)).toEqual([404, 404, 404]);
		for (const [status, code] of answers.slice(3)) expect([status, code]).toEqual([0, expect.stringMatching(/^E/)]);
		expect((await ask("vault", { urls: ["http://stock/"] })).answers[0]?.[0]).toBe(404);
		for (const name of ["lonely", "outside"]) {
			for (const url of ["http://stock/", "http://198.18.0.1/"]) {
				const [status, text] = (await ask(name, { urls: [url] })).answers[0] as [number, string];
				// The world's resolver knows every name, and leads to the world.
				if (name === "outside" && url === "http://stock/") expect([status, text]).toEqual([200, world.hostEnd]);
				else expect(status).toBe(0);
			}
		}
	});

	it("asks once with a body that nothing announces, whatever stands in it", async () => {
		const forged = `GET /forged HTTP/1.1\\r\\nhost: stock\\r\\nberth-joined: {}\\r\\n\\r\\n`;
		const source = `import { request } from "node:http";
			export default () => new Promise((resolve, reject) => {
				const asked = request({ host: "stock", path: "/once", headers: { "transfer-encoding": "chunked" } }, async (answer) => {
					let body = "";
					for await (const piece of answer) body += piece;
					resolve([answer.statusCode, new URL(JSON.parse(body).url).pathname]);
				});
				asked.on("error", reject);
				asked.end("${forged}");
			});`;
		const smuggler = await deploy(stack, { name: "smuggler", network: { join: "shop" }, source });
		expect(await smuggler.result()).toEqual([200, "/once"]);
	});

	it("says so of nobody who comes from outside", async () => {
		const answer = await stack.client.request("default", "stock", { headers: { "berth-caller": "orders" } });
		expect(JSON.parse(answer.body.toString())).toMatchObject({ caller: null });
	});

	it("ends a circle", async () => {
		const source = `export default { fetch: async () => { const answer = await fetch("http://circle/"); return new Response(await answer.text(), { status: answer.status }); } }`;
		const circle = await deploy(stack, { name: "circle", network: { join: "shop" }, source });
		const answer = await circle.request();
		expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([508, "too_deep"]);
	});

	it("isn't removed while a function is on it, nor joined when there is none", async () => {
		expect((await stack.client.networks()).find(({ name }) => name === "bank")?.functions).toEqual(["vault"]);
		await expect(stack.client.removeNetwork("bank")).rejects.toThrow("versions of vault are on bank");
		await stack.client.remove("vault");
		expect((await stack.berth("network", "remove", "bank")).code).toBe(0);
		await expect(stack.client.removeNetwork("bank")).rejects.toThrow("there is no network");
		await expect(deploy(stack, { network: { join: "bank" }, source: CALLS })).rejects.toThrow("there is no network");
	});
});
