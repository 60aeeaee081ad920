import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Namespace } from "./namespace.js";

/** Tells whoever connects, or asks by a datagram, the address that it is seen under; a query of DNS for any name gets `argv[2]`, one for `private.` and more `argv[1]`, one for `home.` who asked. */
const SERVE = `
	const [resolver, answer] = process.argv.slice(1);
	require("node:http").createServer((request, response) => response.end(request.socket.remoteAddress)).listen(80, "0.0.0.0");
	require("node:net").createServer((socket) => socket.end(socket.remoteAddress)).listen(7000, "0.0.0.0", () => console.log("listens"));
	const udp = require("node:dgram").createSocket("udp4");
	udp.on("message", (query, from) => {
		if (query.length < 12) { udp.send(from.address, from.port, from.address); return; }
		let end = 12;
		while (query[end] !== 0) end += query[end] + 1;
		const question = query.subarray(12, end + 5);
		const isA = query.readUInt16BE(end + 1) === 1;
		const is = (label) => query.includes(String.fromCharCode(label.length) + label, 12, "latin1");
		const address = is("private") ? resolver : is("home") ? from.address : answer;
		const head = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
		const record = isA ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)]) : Buffer.alloc(0);
		udp.send(Buffer.concat([head, question, record]), from.port, from.address);
	});
	udp.bind(53, resolver);`;

/**
 * The world outside, in a network namespace beside this host, which has routes to it: addresses that are public as far
 * as rules can tell (RFC 5737 keeps them for documents), and those that no sandbox may reach. A server on each.
 */
export class World implements AsyncDisposable {
	readonly namespace: Namespace;
	/** This host's address on the way there. */
	readonly hostEnd: string;
	readonly publicAddress: string;
	/** Private, shared, link-local: everything that this host reaches and no sandbox may. */
	readonly notForSandboxes: readonly string[];
	/** A resolver on a private network, as a host's mostly is. */
	readonly resolver: string;

	private constructor(
		namespace: Namespace,
		hostEnd: string,
		addresses: { publicAddress: string; notForSandboxes: string[]; resolver: string },
	) {
		this.namespace = namespace;
		this.hostEnd = hostEnd;
		this.publicAddress = addresses.publicAddress;
		this.notForSandboxes = addresses.notForSandboxes;
		this.resolver = addresses.resolver;
	}

	static async make(): Promise<World> {
		// Several test runs may have a world of their own on one machine.
		const [a, b] = randomBytes(2) as unknown as [number, number];
		const hostEnd = `198.51.100.${a}`;
		const addresses = {
			publicAddress: `203.0.113.${a}`,
			notForSandboxes: [
				`10.${a}.${b}.10`,
				`172.31.${a}.${b}`,
				`192.168.${a}.${b}`,
				`100.64.${a}.${b}`,
				`169.254.${a}.${b}`,
				`192.0.0.${a}`,
			],
			resolver: `10.${a}.${b}.53`,
		};
		const namespace = await Namespace.make();
		const device = `btw${namespace.pid}`;
		const ip = (...args: readonly string[]) => execFileSync("ip", args);
		ip("link", "add", device, "type", "veth", "peer", "name", "world", "netns", String(namespace.pid));
		ip("addr", "add", `${hostEnd}/32`, "dev", device);
		ip("link", "set", device, "up");
		namespace.run("ip", "link", "set", "world", "up");
		for (const address of [addresses.publicAddress, addresses.resolver, ...addresses.notForSandboxes]) {
			namespace.run("ip", "addr", "add", `${address}/32`, "dev", "world");
			ip("route", "add", `${address}/32`, "dev", device, "src", hostEnd);
		}
		namespace.run("ip", "route", "add", `${hostEnd}/32`, "dev", "world");
		namespace.run("ip", "route", "add", "default", "via", hostEnd);
		await namespace.serve(SERVE, addresses.resolver, addresses.publicAddress);
		return new World(namespace, hostEnd, addresses);
	}

	/** Its device on this host, and the routes with it, end with its namespace. */
	async [Symbol.asyncDispose](): Promise<void> {
		await this.namespace[Symbol.asyncDispose]();
	}
}
