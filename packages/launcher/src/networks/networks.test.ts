import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Namespace } from "../testing/namespaces.js";
import { Networks } from "./networks.js";

/** Addresses of the world outside: the first is nobody's on the Internet (RFC 5737), and public as far as rules can tell. */
const PUBLIC = "203.0.113.10";
const NOT_FOR_SANDBOXES = ["10.77.0.10", "172.31.77.10", "192.168.77.10", "100.64.77.10", "169.254.77.77", "192.0.0.192"];
/** The host's resolver is on a private network, as it mostly is. */
const RESOLVER = "10.77.0.53";
const HOST_END = `btw${process.pid}`;
const ECHO = `
	require("node:net").createServer((socket) => socket.end(socket.remoteAddress)).listen(7000, "0.0.0.0", () => console.log("listens"));
	const udp = require("node:dgram").createSocket("udp4");
	udp.on("message", (_, from) => udp.send(from.address, from.port, from.address));
	udp.bind(53, process.argv[1]);`;

const instance = randomBytes(4).toString("hex");
const sh = (command: string) => execFileSync("sh", ["-ec", command], { encoding: "utf8" });
const rules = () => sh("nft list tables");
const held = () => sh("ip -4 addr show dev lo");

let world: Namespace;
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

async function sandbox(kind: "internet" | "join"): Promise<{ readonly inside: Namespace; readonly address: string }> {
	const inside = await Namespace.make();
	sandboxes.push(inside);
	return { inside, address: networks.connect(inside.pid, kind) };
}

beforeAll(async () => {
	world = await Namespace.make();
	sh(
		`ip link add ${HOST_END} type veth peer name world netns ${world.pid}; ip addr add 203.0.113.1/32 dev ${HOST_END}; ip link set ${HOST_END} up`,
	);
	world.run("ip", "link", "set", "world", "up");
	for (const address of [PUBLIC, RESOLVER, ...NOT_FOR_SANDBOXES]) {
		world.run("ip", "addr", "add", `${address}/32`, "dev", "world");
		sh(`ip route add ${address}/32 dev ${HOST_END} src 203.0.113.1`);
	}
	world.run("ip", "route", "add", "203.0.113.1/32", "dev", "world");
	world.run("ip", "route", "add", "default", "via", "203.0.113.1");
	await world.serve(ECHO, RESOLVER);
	networks = new Networks({ instance, resolver: RESOLVER });
	expect(networks.missing).toBeUndefined();
});

afterAll(async () => {
	networks.close();
	for (const each of sandboxes) await each[Symbol.asyncDispose]();
	await world[Symbol.asyncDispose]();
});

describe("a sandbox with internet", () => {
	it("reaches public addresses, as this host", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(connecting(PUBLIC, 7000))).toBe("203.0.113.1");
	});

	it("is refused at once what isn't public, though this host reaches it", async () => {
		const { inside } = await sandbox("internet");
		for (const address of NOT_FOR_SANDBOXES) {
			expect(await connectedFromHost(address), address).toBe("203.0.113.1");
			expect(await inside.node(connecting(address, 7000)), address).toMatch(/^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/);
			expect(await inside.node(connecting(`::ffff:${address}`, 7000)), address).toMatch(/^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/);
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
		for (const address of [...own, "203.0.113.1", networks.gateway])
			expect(await inside.node(connecting(address, port)), address).toMatch(/^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/);
		await new Promise((resolve) => server.close(resolve));
	});

	it("asks the host's resolver by the address in its resolv.conf, and by no other", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(asking("198.18.0.53"))).toBe("203.0.113.1");
		expect(await inside.node(asking(RESOLVER))).toMatch(/^(?:timeout|E\w+)$/);
	});

	it("is reached by nobody: no other sandbox, not this host, nobody outside", async () => {
		const [{ inside, address }, other] = [await sandbox("internet"), await sandbox("internet")];
		await inside.serve(ECHO, "127.0.0.1");
		expect(await inside.node(connecting(address, 7000))).toBe(address);
		expect(await other.inside.node(connecting(address, 7000))).not.toBe(other.address);
		expect(await connectedFromHost(address)).toMatch(/^(?:timeout|E\w+)$/);
		expect(await world.node(connecting(address, 7000))).toMatch(/^(?:timeout|E\w+)$/);
	});

	it("sends nothing under an address that isn't its own, not even where it could take one", async () => {
		const { inside } = await sandbox("internet");
		expect(await inside.node(asking("198.18.0.53"))).toBe("203.0.113.1");
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
		for (const address of [...own, "2001:db8::1"])
			expect(await inside.node(connecting(address, port)), address).toMatch(/^(?:timeout|E\w+)$/);
		await new Promise((resolve) => server.close(resolve));
	});
});

describe("a sandbox on a network of functions", () => {
	it("reaches nothing outside", async () => {
		const { inside } = await sandbox("join");
		for (const address of [PUBLIC, ...NOT_FOR_SANDBOXES, "203.0.113.1"])
			expect(await inside.node(connecting(address, 7000)), address).toMatch(/^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/);
		expect(await inside.node(asking(RESOLVER))).toMatch(/^(?:timeout|E\w+)$/);
	});

	it("reaches the worker's listener as any function, which nobody else does", async () => {
		const { inside, address } = await sandbox("join");
		const { inside: other } = await sandbox("internet");
		const server = createServer((socket) => socket.end(socket.remoteAddress));
		await new Promise<void>((resolve) => server.listen(8080, networks.gateway, resolve));
		expect(await inside.node(connecting("198.18.0.1", 80))).toBe(address);
		expect(await inside.node(connecting(networks.gateway, 8080))).toMatch(/^E(?:HOSTUNREACH|CONNREFUSED|NETUNREACH|ACCES)$/);
		expect(await other.node(connecting("198.18.0.1", 80))).toMatch(/^(?:timeout|E\w+)$/);
		expect(await world.node(connecting(networks.gateway, 8080))).toMatch(/^(?:timeout|E\w+)$/);
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
	await expect.poll(() => sh("ip -o link"), { timeout: 5000 }).not.toContain(`bh${instance}`);
	new Networks({ instance, resolver: RESOLVER }).close();
	expect(rules()).not.toContain(`berth_${instance}`);
	expect(held()).not.toContain(networks.gateway);
});

/** The same from this host. */
async function connectedFromHost(host: string): Promise<string> {
	return await new Promise((resolve) => {
		execFile(process.execPath, ["-e", connecting(host, 7000)], (_error, stdout) => resolve(stdout.trim()));
	});
}
