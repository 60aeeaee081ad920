import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Namespace } from "../testing/namespace.js";
import { World } from "../testing/world.js";
import { Networks } from "./networks.js";

const LISTEN = `require("node:net").createServer((socket) => socket.end(socket.remoteAddress)).listen(7000, "0.0.0.0", () => console.log("listens"))`;
const REFUSED = /^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/;
const NOTHING = /^(?:timeout|E\w+)$/;

const instance = randomBytes(4).toString("hex");
const sh = (command: string) => execFileSync("sh", ["-ec", command], { encoding: "utf8" });
const rules = () => sh("nft list tables");
const held = () => sh("ip -4 addr show dev lo");

let world: World;
let networks: Networks;
const sandboxes: Namespace[] = [];

/** What comes of a connection: the text that it was told, or the error's code. */
const connecting = (host: string, port: number) => `
	const socket = require("node:net").connect({ host: "${host}", port: ${port}, timeout: 700 });
	socket.once("timeout", () => { console.log("timeout"); process.exit(); });
	socket.once("error", (error) => { console.log(error.code); process.exit(); });
	socket.on("data", (text) => { console.log(String(text)); process.exit(); });`;

/** Whether the resolver answers a datagram. */
const asking = (host: string, bind = "") => `
	const socket = require("node:dgram").createSocket("udp4");
	socket.on("message", (text) => { console.log(String(text)); process.exit(); });
	socket.on("error", (error) => { console.log(error.code); process.exit(); });
	socket.bind(0, ${JSON.stringify(bind)} || undefined, () => socket.send("?", 53, "${host}"));
	setTimeout(() => { console.log("timeout"); process.exit(); }, 700);`;

async function sandbox(kind: "internet" | "join" | "allow"): Promise<{ readonly inside: Namespace; readonly address: string }> {
	const inside = await Namespace.make();
	sandboxes.push(inside);
	return { inside, address: networks.connect(inside.pid, kind) };
}

beforeAll(async () => {
	world = await World.make();
	networks = new Networks({ instance, resolver: world.resolver });
	expect(networks.missing).toBeUndefined();
	networks.begin();
});

afterAll(async () => {
	networks.close();
	for (const each of sandboxes) await each[Symbol.asyncDispose]();
	await world[Symbol.asyncDispose]();
});

describe("a sandbox with internet", () => {
	it("reaches public addresses, as this host", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(connecting(world.publicAddress, 7000))).toBe(world.hostEnd);
	});

	it("is refused at once what isn't public, though this host reaches it", async () => {
		const { inside } = await sandbox("internet");
		for (const address of world.notForSandboxes) {
			expect(await connectedFromHost(address), address).toBe(world.hostEnd);
			expect(await inside.node(connecting(address, 7000)), address).toMatch(REFUSED);
			expect(await inside.node(connecting(`::ffff:${address}`, 7000)), address).toMatch(REFUSED);
		}
	});

	it("reaches no address of this host's, nor what listens there", async () => {
		const { inside } = await sandbox("internet");
		const server = createServer((socket) => socket.end("the host"));
		await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
		const { port } = server.address() as { port: number };
		const own = sh("hostname -I")
			.trim()
			.split(" ")
			.filter((address) => address.includes("."));
		for (const address of [...own, world.hostEnd, networks.gateway])
			expect(await inside.node(connecting(address, port)), address).toMatch(REFUSED);
		await new Promise((resolve) => server.close(resolve));
	});

	it("asks the host's resolver by the address in its resolv.conf, and by no other", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(asking("198.18.0.53"))).toBe(world.hostEnd);
		expect(await inside.node(asking(world.resolver))).toMatch(NOTHING);
	});

	it("asks it where it is one of this host's own addresses, too, and reaches nothing else there", async () => {
		const own = new Networks({ instance: randomBytes(4).toString("hex"), resolver: world.hostEnd });
		const resolver = createSocket("udp4").on("message", (_, { port, address }) => resolver.send("own", port, address));
		await new Promise<void>((resolve) => resolver.bind(53, world.hostEnd, resolve));
		const server = createServer((socket) => socket.end("the host"));
		await new Promise<void>((resolve) => server.listen(0, world.hostEnd, resolve));
		try {
			own.begin();
			const inside = await Namespace.make();
			sandboxes.push(inside);
			own.connect(inside.pid, "internet");
			expect(await inside.node(asking("198.18.0.53"))).toBe("own");
			expect(await inside.node(asking(world.hostEnd))).toMatch(NOTHING);
			expect(await inside.node(connecting(world.hostEnd, (server.address() as { port: number }).port))).toMatch(REFUSED);
		} finally {
			own.close();
			resolver.close();
			server.close();
		}
	});

	it("is reached by nobody: no other sandbox, not this host, nobody outside", async () => {
		const [{ inside, address }, other] = [await sandbox("internet"), await sandbox("internet")];
		await inside.serve(LISTEN);
		expect(await inside.node(connecting(address, 7000))).toBe(address);
		expect(await other.inside.node(connecting(address, 7000))).not.toBe(other.address);
		expect(await connectedFromHost(address)).toMatch(NOTHING);
		expect(await world.namespace.node(connecting(address, 7000))).toMatch(NOTHING);
	});

	it("sends nothing under an address that isn't its own, not even where it could take one", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(asking("198.18.0.53"))).toBe(world.hostEnd);
		inside.run("ip", "addr", "add", "198.18.200.200/32", "dev", "eth0");
		inside.run("ip", "addr", "add", "8.8.4.4/32", "dev", "eth0");
		for (const source of ["198.18.200.200", "8.8.4.4"]) expect(await inside.node(asking("198.18.0.53", source)), source).toBe("timeout");
	});

	it("has no IPv6 that leads anywhere", async () => {
		const { inside } = await sandbox("internet");
		const server = createServer((socket) => socket.end("the host"));
		await new Promise<void>((resolve) => server.listen(0, "::", resolve));
		const { port } = server.address() as { port: number };
		inside.run("ip", "-6", "route", "add", "default", "dev", "eth0");
		inside.run("ip", "addr", "add", "fd77::2/64", "dev", "eth0", "nodad");
		const own = sh("ip -6 -o addr show scope global")
			.split("\n")
			.flatMap((line) => /inet6 ([^/]+)\//.exec(line)?.[1] ?? []);
		for (const address of [...own, "2001:db8::1"]) expect(await inside.node(connecting(address, port)), address).toMatch(NOTHING);
		await new Promise((resolve) => server.close(resolve));
	});
});

describe("a sandbox on a network of functions", () => {
	it("reaches nothing outside", async () => {
		const { inside } = await sandbox("join");
		for (const address of [world.publicAddress, ...world.notForSandboxes, world.hostEnd])
			expect(await inside.node(connecting(address, 7000)), address).toMatch(REFUSED);
		expect(await inside.node(asking(world.resolver))).toMatch(NOTHING);
	});

	it("reaches the worker's listener as any function, which nobody else does", async () => {
		const { inside, address } = await sandbox("join");
		const { inside: other } = await sandbox("internet");
		const server = createServer((socket) => socket.end(String(socket.remoteAddress)));
		await new Promise<void>((resolve) => server.listen(8080, networks.gateway, resolve));
		expect(await inside.node(connecting("198.18.0.1", 80))).toBe(address);
		expect(await inside.node(connecting(networks.gateway, 8080))).toMatch(REFUSED);
		expect(await other.node(connecting("198.18.0.1", 80))).toMatch(NOTHING);
		expect(await world.namespace.node(connecting(networks.gateway, 8080))).toMatch(NOTHING);
		await new Promise((resolve) => server.close(resolve));
	});
});

describe("a sandbox that may reach some hosts", () => {
	it("reaches the worker alone, whatever it connects to, which nobody else does", async () => {
		const { inside, address } = await sandbox("allow");
		const { inside: other } = await sandbox("internet");
		const server = createServer((socket) => socket.end(`the worker: ${socket.remoteAddress}`));
		await new Promise<void>((resolve) => server.listen(8081, networks.gateway, resolve));
		for (const target of [world.publicAddress, "198.18.0.64", ...world.notForSandboxes, "8.8.8.8"])
			expect(await inside.node(connecting(target, 7000)), target).toBe(`the worker: ${address}`);
		for (const target of [world.hostEnd, networks.gateway, "127.0.0.1"])
			expect(await inside.node(connecting(target, 8081)), target).toMatch(REFUSED);
		expect(await inside.node(asking(world.resolver))).toMatch(NOTHING);
		expect(await other.node(connecting("198.18.0.64", 443))).toMatch(NOTHING);
		expect(await world.namespace.node(connecting(networks.gateway, 8081))).toMatch(NOTHING);
		await new Promise((resolve) => server.close(resolve));
	});
});

it("leaves nothing on the host: wires end with their sandboxes, the rest is removed, also what an earlier launcher left", async () => {
	const { inside } = await sandbox("internet");
	expect(sh("ip -o link")).toContain(`bh${instance}`);
	expect(rules()).toContain(`berth_${instance}`);
	expect(held()).toContain(networks.gateway);
	for (const each of sandboxes) await each[Symbol.asyncDispose]();
	await inside[Symbol.asyncDispose]();
	await expect.poll(() => sh("ip -o link")).not.toContain(`bh${instance}`);
	new Networks({ instance, resolver: world.resolver }).close();
	expect(rules()).not.toContain(`berth_${instance}`);
	expect(held()).not.toContain(networks.gateway);
});

/** The same from this host. */
async function connectedFromHost(host: string): Promise<string> {
	return await new Promise((resolve) => {
		execFile(process.execPath, ["-e", connecting(host, 7000)], (_error, stdout) => resolve(stdout.trim()));
	});
}
