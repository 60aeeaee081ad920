import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { beforeAll, describe, expect, it } from "vitest";
import type { World } from "../../packages/launcher/src/testing/world.js";
import type { DockerDaemon } from "../harness/docker-engine.js";
import { eventually } from "../harness/eventually.js";
import { deploy } from "../harness/functions.js";
import { tableOf } from "../harness/leftovers.js";
import { ASKS, CALLS, type Called, call } from "../harness/network-probes.js";
import type { Stack } from "../harness/stack.js";
import { serveOutside } from "./egress.js";
import { injection } from "./injection.js";

interface Parts {
	readonly docker: Stack;
	readonly daemon: DockerDaemon;
	readonly world: World;
	/** With the certificate of hosts outside in it. */
	readonly directory: string;
}

interface Inspected {
	readonly State: { readonly Pid: number };
	readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
}

/** What holds of networks on a stack whose sandboxes a Docker Engine makes, with a world outside. */
export function dockerNetworks(of: () => Parts): void {
	describe("networks in a Docker Engine", () => {
		let parts: Parts;
		beforeAll(() => {
			parts = of();
		});

		const outside = "http://service.example/";

		it("internet lets a function out, under this host's address, and keeps it from this host, private networks and others' sandboxes", async () => {
			const { docker, daemon, world } = parts;
			const asks = await deploy(docker, { network: "internet", source: ASKS });
			expect(await asks.result({ url: outside })).toBe(world.hostEnd);
			const own = Object.values(networkInterfaces()).flatMap((each) => each?.filter(({ family }) => family === "IPv4") ?? []);
			const port = new URL(docker.url).port;
			const refused = [...world.notForSandboxes, "169.254.169.254", ...own.map(({ address }) => `${address}:${port}`)];
			for (const address of refused) expect(await asks.result({ url: `http://${address}/` }), address).toMatch(/^E/);

			const source = `import { createServer } from "node:http";
			export default () => { createServer((_, response) => response.end("reached")).listen(7000, "0.0.0.0"); return new Promise(() => undefined); }`;
			const listens = await deploy(docker, { network: "internet", source, timeoutMs: 60_000 });
			await docker.client.invokeAsync(listens.name, { json: {} });
			const { sandbox, address } = await eventually(async () => {
				const [one] = (await docker.client.sandboxes()).filter((each) => each.function === listens.name);
				const { State, NetworkSettings } = await daemon.ask<Inspected>("GET", `/containers/${one?.id}/json`);
				expect(readFileSync(`/proc/${State.Pid}/net/tcp`, "utf8")).toContain(":1B58 ");
				return { sandbox: one?.id ?? "", address: Object.values(NetworkSettings.Networks)[0]?.IPAddress };
			});
			const url = `http://${address}:7000/`;
			expect(await asks.result({ url, withinMs: 700 })).toMatch(/^(?:E|TimeoutError)/);
			await expect(fetch(url, { signal: AbortSignal.timeout(500) })).rejects.toThrow();
			await docker.client.command({ kind: "kill", sandbox });
		});

		it("allow lets a function out to the hosts that it names alone, and says what it refused", async () => {
			const { docker, world } = parts;
			const asks = await deploy(docker, { network: { allow: ["service.example"] }, source: ASKS });
			expect(await asks.result({ url: outside })).toBe(world.hostEnd);
			const answer = await asks.invoke({ url: "http://evil.example/" });
			expect([answer.raw.body.toString(), (await asks.record(answer)).limitsHit]).toEqual(["ENOTFOUND", ["egress"]]);
			expect(await asks.result({ url: `http://${world.publicAddress}/` })).toMatch(/^(?:E|UND_ERR_SOCKET)/);
		});

		describe("with hosts that speak TLS", () => {
			beforeAll(() => serveOutside(parts.world, parts.directory));
			injection(() => parts.docker);
		});

		it("goes on after a kill -9 of the launcher, whose rules stay meanwhile", async () => {
			const { docker, world } = parts;
			const asks = await deploy(docker, { network: "internet", source: ASKS });
			process.kill(await docker.pidOf("launcher"), "SIGKILL");
			expect(execFileSync("nft", ["list", "tables"], { encoding: "utf8" })).toContain(tableOf(docker.dataDir));
			await eventually(async () => expect(await asks.result({ url: outside })).toBe(world.hostEnd), 30_000);
			expect(await asks.result({ url: `http://${world.notForSandboxes[0]}/` })).toMatch(/^E/);
		});

		it("a function reaches another one of its network by its name, on record, and nothing else; Docker's client sees who is on which", async () => {
			const { docker, daemon, world } = parts;
			for (const name of ["shop", "bank"]) await docker.client.makeNetwork(name);
			const members = { orders: { join: "shop" }, stock: { join: "shop" }, vault: { join: "bank" } } as const;
			for (const [name, network] of Object.entries(members)) await deploy(docker, { name, network, source: CALLS });
			const urls = ["http://stock/items?id=7", "http://vault/", outside, `http://${world.publicAddress}/`, docker.url];
			const { answers } = await call(docker, "orders", { urls, headers: { "berth-caller": "vault" } });
			const [status, text, id = ""] = answers[0] ?? [0, "{}"];
			const seen = JSON.parse(text) as Called;
			expect([status, seen.caller, new URL(seen.url).pathname]).toEqual([200, "orders", "/items"]);
			expect(await docker.client.invocation(id)).toMatchObject({ function: "stock", outcome: "succeeded" });
			expect(answers[1]?.[0]).toBe(404);
			for (const [code, why] of answers.slice(2)) expect([code, why]).toEqual([0, expect.stringMatching(/^E/)]);
			const { stdout } = await daemon.docker(
				"ps",
				"--filter",
				"label=dev.berth.network=shop",
				"--format",
				'{{.Label "dev.berth.function"}}',
			);
			expect(stdout.trim().split("\n").sort()).toEqual(["orders", "stock"]);
		});
	});
}
