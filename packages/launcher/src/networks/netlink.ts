import { closeSync, openSync } from "node:fs";
import { interfaceIndex, netlinkSocket, receiveFrom, SyscallError, sendTo, setNetworkNamespace } from "../syscalls.js";

/** Message types, flags and attributes of linux/rtnetlink.h, if_link.h and if_addr.h. */
const RTM = { newLink: 16, removeLink: 17, newAddress: 20, removeAddress: 21, newRoute: 24 } as const;
const NLM = { request: 1, ack: 4, exclusive: 0x200, create: 0x400 } as const;
const NLMSG_ERROR = 2;
const IFLA = { address: 1, name: 3, linkInfo: 18, targetNamespace: 28 } as const;
const LINK_INFO = { kind: 1, data: 2 } as const;
const VETH_PEER = 1;
const IFA = { address: 1, local: 2 } as const;
const RTA = { destination: 1, interface: 4, preferredSource: 7 } as const;
const ROUTE = { mainTable: 254, byBoot: 3, linkScope: 253, unicast: 1 } as const;
const AF_INET = 2;
const IFF = { up: 1, noArp: 0x80 } as const;
const NESTED = 0x8000;
const HEADER_BYTES = 16;
const ERRNO_EXISTS = 17;
/** No such device, no such address. */
const ERRNOS_GONE = [19, 99];

/** Both ends of a wire have it, and neither asks for the other's: what one sends is the other's without ARP. */
const HARDWARE_ADDRESS = Buffer.from([2, 0, 0, 0, 0, 1]);
const INSIDE = "eth0";

/** An address of IPv4, four bytes. */
export type Ipv4 = Buffer;

/** rtnetlink(7) of one network namespace: requests are made and acknowledged one at a time, without a process. */
class Netlink implements Disposable {
	readonly #fd = netlinkSocket();
	#sequence = 0;

	/** @throws SyscallError with the kernel's reason */
	request(type: number, flags: number, body: Buffer, step: string): void {
		const error = this.#ask(type, flags, body, step);
		if (error !== 0) throw SyscallError.of(step, error);
	}

	/** The same; whether it was done, or there was such a thing already. */
	requestNew(type: number, body: Buffer, step: string): boolean {
		const error = this.#ask(type, NLM.create | NLM.exclusive, body, step);
		if (error !== 0 && error !== ERRNO_EXISTS) throw SyscallError.of(step, error);
		return error === 0;
	}

	/** The same; nothing to do where there is no such thing. */
	requestGone(type: number, body: Buffer, step: string): void {
		const error = this.#ask(type, 0, body, step);
		if (error !== 0 && !ERRNOS_GONE.includes(error)) throw SyscallError.of(step, error);
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
	}

	/** The kernel answers with the errno, 0 when all went well. */
	#ask(type: number, flags: number, body: Buffer, step: string): number {
		const header = Buffer.alloc(HEADER_BYTES);
		header.writeUInt32LE(HEADER_BYTES + body.length, 0);
		header.writeUInt16LE(type, 4);
		header.writeUInt16LE(flags | NLM.request | NLM.ack, 6);
		header.writeUInt32LE(++this.#sequence, 8);
		sendTo(this.#fd, Buffer.concat([header, body]), step);
		const answer = receiveFrom(this.#fd, step);
		if (answer.readUInt16LE(4) !== NLMSG_ERROR || answer.readUInt32LE(8) !== this.#sequence)
			throw new Error(`${step}: not an acknowledgement`);
		return -answer.readInt32LE(HEADER_BYTES);
	}
}

/** A wire between this network namespace and a sandbox's. */
export interface Wire {
	/** What our end is called, at most 15 characters. */
	readonly name: string;
	/** Pid of a process in the sandbox's network namespace. */
	readonly pid: number;
	/** The sandbox's address: the first of them that nothing is routed to yet. */
	readonly addresses: Iterable<Ipv4>;
}

/**
 * A veth pair with its far end in a sandbox. Our end gets a route to the sandbox's address and none of its own; the
 * sandbox's gets the address and the default route. It ends with the sandbox's network namespace, and the route with it.
 * @returns the address. @throws SyscallError
 */
export function connectSandbox({ name, pid, addresses }: Wire): Ipv4 {
	const namespace = openSync(`/proc/${pid}/ns/net`, "r");
	try {
		using ours = new Netlink();
		ours.request(RTM.newLink, NLM.create | NLM.exclusive, pairOf(name, namespace), `making ${name}`);
		try {
			const address = routeFirst(ours, name, addresses);
			configureInside(namespace, address);
			return address;
		} catch (error) {
			ours.requestGone(RTM.removeLink, byName(name), `removing ${name}`);
			throw error;
		}
	} finally {
		closeSync(namespace);
	}
}

/** Whether wires can be made here: makes one with both ends on this side, and removes it. @throws SyscallError */
export function tryWire(name: string): void {
	using ours = new Netlink();
	ours.requestGone(RTM.removeLink, byName(name), `removing ${name}`);
	ours.request(
		RTM.newLink,
		NLM.create | NLM.exclusive,
		pairOf(name, undefined),
		"making a pair of network devices (the kernel's module veth)",
	);
	ours.requestGone(RTM.removeLink, byName(name), `removing ${name}`);
}

/** Has this host take an address for its own, on its loopback, where nobody else is told of it. Idempotent. */
export function holdAddress(address: Ipv4): void {
	using ours = new Netlink();
	ours.requestNew(RTM.newAddress, addressOn(interfaceIndex("lo"), address), "holding an address on lo");
}

/** Idempotent. */
export function releaseAddress(address: Ipv4): void {
	using ours = new Netlink();
	ours.requestGone(RTM.removeAddress, addressOn(interfaceIndex("lo"), address), "releasing an address on lo");
}

/** @param namespace of the far end, which is called eth0 there; undefined: this one, by a name of the kernel's */
function pairOf(name: string, namespace: number | undefined): Buffer {
	const place = namespace === undefined ? [] : [attribute(IFLA.name, text(INSIDE)), attribute(IFLA.targetNamespace, u32(namespace))];
	const peer = [ifInfo({ flags: IFF.noArp }), attribute(IFLA.address, HARDWARE_ADDRESS), ...place];
	return Buffer.concat([
		ifInfo({ flags: IFF.up | IFF.noArp }),
		attribute(IFLA.name, text(name)),
		attribute(IFLA.address, HARDWARE_ADDRESS),
		nest(IFLA.linkInfo, attribute(LINK_INFO.kind, Buffer.from("veth")), nest(LINK_INFO.data, attribute(VETH_PEER, Buffer.concat(peer)))),
	]);
}

/** The kernel's routing table says which addresses are taken, those of other stacks included. */
function routeFirst(ours: Netlink, name: string, addresses: Iterable<Ipv4>): Ipv4 {
	const index = interfaceIndex(name);
	for (const address of addresses) {
		if (ours.requestNew(RTM.newRoute, routeTo(index, attribute(RTA.destination, address), 32), `a route to ${name}`)) return address;
	}
	throw new Error("every address for sandboxes is taken");
}

/** In the sandbox's network namespace. Nothing is awaited between there and back: this thread is everybody's. */
function configureInside(namespace: number, address: Ipv4): void {
	const home = openSync("/proc/thread-self/ns/net", "r");
	try {
		setNetworkNamespace(namespace);
		try {
			using inside = new Netlink();
			const index = interfaceIndex(INSIDE);
			inside.request(RTM.newLink, 0, ifInfo({ index, flags: IFF.up }), "raising eth0");
			inside.request(RTM.newAddress, NLM.create | NLM.exclusive, addressOn(index, address), "giving eth0 its address");
			inside.request(
				RTM.newRoute,
				NLM.create | NLM.exclusive,
				routeTo(index, attribute(RTA.preferredSource, address), 0),
				"the default route",
			);
		} finally {
			setNetworkNamespace(home);
		}
	} finally {
		closeSync(home);
	}
}

/** struct ifinfomsg; the flags named are set, others stay. */
function ifInfo({ index = 0, flags = 0 }: { index?: number; flags?: number }): Buffer {
	const bytes = Buffer.alloc(16);
	bytes.writeInt32LE(index, 4);
	bytes.writeUInt32LE(flags, 8);
	bytes.writeUInt32LE(flags, 12);
	return bytes;
}

function byName(name: string): Buffer {
	return Buffer.concat([ifInfo({}), attribute(IFLA.name, text(name))]);
}

/** struct ifaddrmsg with one address. */
function addressOn(index: number, address: Ipv4): Buffer {
	const bytes = Buffer.alloc(8);
	bytes[0] = AF_INET;
	bytes[1] = 32;
	bytes.writeUInt32LE(index, 4);
	return Buffer.concat([bytes, attribute(IFA.local, address), attribute(IFA.address, address)]);
}

/** struct rtmsg, straight out of a device. */
function routeTo(index: number, more: Buffer, prefixLength: number): Buffer {
	const bytes = Buffer.from([AF_INET, prefixLength, 0, 0, ROUTE.mainTable, ROUTE.byBoot, ROUTE.linkScope, ROUTE.unicast, 0, 0, 0, 0]);
	return Buffer.concat([bytes, more, attribute(RTA.interface, u32(index))]);
}

/** struct rtattr: length, type, data, padded to four bytes. */
function attribute(type: number, data: Buffer): Buffer {
	const bytes = Buffer.alloc((4 + data.length + 3) & ~3);
	bytes.writeUInt16LE(4 + data.length, 0);
	bytes.writeUInt16LE(type, 2);
	data.copy(bytes, 4);
	return bytes;
}

function nest(type: number, ...attributes: readonly Buffer[]): Buffer {
	return attribute(type | NESTED, Buffer.concat(attributes));
}

function text(value: string): Buffer {
	return Buffer.from(`${value}\0`);
}

function u32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}
