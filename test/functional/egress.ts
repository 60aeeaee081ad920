import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { World } from "../../packages/launcher/src/testing/world.js";
import { type Deployed, deploy } from "../harness/functions.js";
import { ASKS } from "../harness/network-probes.js";
import type { Stack } from "../harness/stack.js";
import { injection } from "./injection.js";

/** Outside: TLS that tells the name it was asked for, what greets before anybody speaks, and how many it has greeted that are still there. */
const SERVE = `
	const { readFileSync } = require("node:fs");
	const [directory] = process.argv.slice(1);
	const pem = (name) => readFileSync(directory + "/" + name + ".pem");
	const tls = { key: pem("key"), cert: pem("certificate") };
	const headers = (request, response) => response.setHeader("content-type", "application/json").end(JSON.stringify(request.headers));
	require("node:https").createServer(tls, (request, response) => {
		const [, leadsTo] = request.url.split("/leads-to/");
		if (leadsTo !== undefined) response.writeHead(302, { location: leadsTo }).end();
		else if (request.url === "/headers") headers(request, response);
		else response.end(request.socket.servername + request.url);
	}).listen(443, "0.0.0.0");
	let open = 0;
	require("node:http").createServer((_, response) => response.end(String(open))).listen(8080, "0.0.0.0");
	require("node:net").createServer((socket) => {
		open++;
		socket.on("error", () => undefined).on("close", () => open--).on("data", (bytes) => socket.write("you said " + bytes));
		socket.write("hello ");
	}).listen(5432, "0.0.0.0", () => console.log("listens"));`;

/** What comes of bytes that are sent to a port; of TLS for a name, through an agent of the function's own. */
const SPEAKS = `
import { connect } from "node:net";
import { Agent, request } from "node:https";
const own = new Agent({ keepAlive: true, rejectUnauthorized: false });
export default async ({ host, port, say = "", servername, path = "/" }) => new Promise((resolve) => {
	const failed = (error) => resolve(error.code ?? error.message);
	if (servername !== undefined) {
		request({ host, port, path, servername, agent: own }, async (answer) => {
			let text = "";
			for await (const chunk of answer) text += chunk;
			resolve(text);
		}).on("error", failed).end();
		return;
	}
	let heard = "";
	const socket = connect({ host, port }, () => socket.write(say));
	socket.on("data", (bytes) => { heard += bytes; if (heard.includes(say)) resolve(heard); }).on("error", failed).on("close", () => resolve("closed: " + heard));
});`;

/** A certificate of hosts outside, which the operator's file has: `key.pem` and `certificate.pem`. */
export function certify(directory: string): void {
	const [key, certificate] = ["key.pem", "certificate.pem"].map((name) => join(directory, name)) as [string, string];
	const names = ["-subj", "/CN=tests", "-addext", "subjectAltName=DNS:service.example,DNS:*.example.org"];
	const how = ["-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	execFileSync("openssl", ["req", "-x509", ...names, ...how, "-keyout", key, "-out", certificate], { stdio: "pipe" });
}

/** Has hosts answer outside: over TLS with the certificate in the directory, and otherwise. */
export async function serveOutside(world: World, directory: string): Promise<void> {
	await world.namespace.serve(SERVE, directory);
}

interface Parts {
	/** With a certificate in it. */
	readonly directory: string;
	readonly stack: Stack;
	readonly world: World;
}

/** What holds of a function that may reach some hosts, on a stack with a world outside. */
export function egress(of: () => Parts): void {
	describe("network: {allow}", () => {
		const allow = ["service.example", "*.example.org:443", "*.service.example:5432", "db.example:8080", "private.example", "home.example"];
		let stack: Stack;
		let world: World;
		let asks: Deployed;
		let speaks: Deployed;

		beforeAll(async () => {
			const { directory } = of();
			({ stack, world } = of());
			await serveOutside(world, directory);
			[asks, speaks] = (await Promise.all([ASKS, SPEAKS].map((source) => deploy(stack, { network: { allow }, source })))) as [
				Deployed,
				Deployed,
			];
		});

		/** What an invocation came to, and what its record says of it. */
		const told = async (deployed: Deployed, payload: object) => {
			const answer = await deployed.invoke(payload);
			const { attempts, logs } = await deployed.record(answer);
			return {
				text: answer.raw.body.toString(),
				limitsHit: attempts.at(-1)?.limitsHit,
				lines: logs?.map(({ text }) => text),
			};
		};

		it("fetch, an agent of a library's own and Python reach what is allowed, without being configured", async () => {
			expect(await told(asks, { url: "http://service.example/" })).toMatchObject({ text: world.hostEnd, limitsHit: [] });
			expect(await speaks.result({ host: "a.example.org", port: 443, servername: "a.example.org", path: "/x" })).toBe("a.example.org/x");
			const source = `
import urllib.request
def handler(event, context):
    return urllib.request.urlopen(event["url"], timeout=10).read().decode()`;
			const python = await deploy(stack, { runtime: "python3", network: { allow }, source });
			expect(await python.result({ url: "http://service.example/" })).toBe(world.hostEnd);
		});

		it("whatever is spoken reaches a host on the port that is named, also where the server speaks first", async () => {
			expect(await speaks.result({ host: "db.service.example", port: 5432, say: "SELECT 1" })).toBe("hello you said SELECT 1");
		});

		it("what isn't allowed is refused, and the invocation says so: a name, another port, an address that nobody named", async () => {
			expect(await told(asks, { url: "https://evil.example/" })).toEqual({
				text: "ENOTFOUND",
				limitsHit: ["egress"],
				lines: ["berth: evil.example was refused: the function's network.allow doesn't have it"],
			});
			for (const [host, port] of [
				["service.example", 7000],
				[world.publicAddress, 443],
				["169.254.169.254", 80],
				["8.8.8.8", 53],
			] as const) {
				const { text, limitsHit, lines } = await told(speaks, { host, port, say: "x" });
				expect([text, limitsHit], host).toEqual(["ECONNRESET", ["egress"]]);
				expect(lines).toEqual([`berth: ${host}:${port} was refused: the function's network.allow doesn't have it`]);
			}
			expect((await told(asks, { url: "http://service.example/" })).limitsHit).toEqual([]);
		});

		it("a name that leads to a private address isn't connected to, nor this host, nor another sandbox's way", async () => {
			const { text, lines } = await told(asks, { url: "http://private.example/" });
			expect([text, lines]).toEqual([
				expect.stringMatching(/^(?:ECONNRESET|UND_ERR_SOCKET)$/),
				["berth: private.example:80 was refused: it leads to an address that isn't public"],
			]);
			for (const host of [world.hostEnd, "198.18.0.1", "198.18.1.1"])
				expect(await speaks.result({ host, port: Number(new URL(stack.url).port), say: "x" }), host).toMatch(/^ECONN/);
			// The host's own address that leads outside is a public one.
			const home = await told(asks, { url: "http://home.example/" });
			expect([home.limitsHit, home.lines]).toEqual([["egress"], ["berth: home.example:80 was refused: it leads to this host"]]);
		});

		it("on an allowed connection only the host that was asked for is spoken to: by TLS, by HTTP, by each request of it", async () => {
			const otherName = await told(speaks, { host: "a.example.org", port: 443, servername: "evil.example" });
			expect([otherName.text, otherName.limitsHit, otherName.lines]).toEqual([
				"ECONNRESET",
				["egress"],
				["berth: a.example.org:443 was refused: the TLS on this connection is for another host"],
			]);
			const requests = ["service.example", "evil.example"].map((host) => `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
			const otherHost = await told(speaks, { host: "service.example", port: 80, say: requests.join("") });
			expect([otherHost.limitsHit, otherHost.lines]).toEqual([
				["egress"],
				["berth: service.example:80 was refused: a request on this connection is for another host"],
			]);
			const neither = await told(speaks, { host: "service.example", port: 443, say: "SSH-2.0-x\r\n" });
			expect(neither.lines).toEqual(["berth: service.example:443 was refused: neither TLS nor HTTP is spoken on this connection"]);
		});

		injection(() => stack);

		it("the list of refusals has an end", async () => {
			const source = `import { lookup } from "node:dns/promises";
				export default () => Promise.allSettled(Array.from({ length: 40 }, (_, at) => lookup("h" + at + ".evil.example"))).then((all) => all.length);`;
			const { lines } = await told(await deploy(stack, { network: { allow }, source }), {});
			expect([lines?.length, lines?.at(-1)]).toEqual([21, "berth: it was so with more hosts"]);
		});

		it("a sandbox has so many connections at a time, and more when it has closed some", async () => {
			const source = `import { connect } from "node:net";
				const open = () => new Promise((resolve) => {
					const socket = connect(5432, "many.service.example");
					socket.once("data", () => resolve(socket)).once("error", () => resolve(undefined));
				});
				export default async () => {
					const sockets = await Promise.all(Array.from({ length: 70 }, open));
					const there = sockets.filter(Boolean);
					const closed = new Promise((resolve) => there[0].once("close", resolve));
					there[0].destroy();
					await closed;
					for (;;) {
						const another = await open();
						if (another !== undefined) return String(there.length);
					}
				};`;
			const { text, limitsHit, lines } = await told(await deploy(stack, { network: { allow }, source }), {});
			expect([text, limitsHit, lines]).toEqual([
				"64",
				["egress"],
				["berth: many.service.example:5432 was refused: 64 connections are open already"],
			]);
		});

		it("a connection ends with its sandbox", async () => {
			const source = `import { connect } from "node:net";
				export default () => new Promise(() => connect(5432, "hung.service.example").on("error", () => undefined));`;
			const hung = await deploy(stack, { network: { allow }, source, timeoutMs: 60_000 });
			const counts = await deploy(stack, { network: { allow }, source: ASKS });
			const open = () => counts.result<string>({ url: "http://db.example:8080/" }).then(Number);
			const before = await open();
			const { id } = await stack.client.invokeAsync(hung.name, { json: {} });
			await expect.poll(open, { timeout: 10_000 }).toBe(before + 1);
			const sandbox = (await stack.client.sandboxes()).find((one) => one.function === hung.name);
			await stack.client.command({ kind: "kill", sandbox: sandbox?.id ?? "" });
			await expect.poll(open, { timeout: 10_000 }).toBe(before);
			await stack.client.cancel(id);
		});
	});
}
