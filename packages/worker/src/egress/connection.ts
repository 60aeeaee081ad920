import { connect, isIPv6, type LookupFunction, Socket } from "node:net";
import { EGRESS_LIMITS } from "@berth/contracts";
import type { Egressing } from "@berth/sandbox";
import type { Outlet } from "./outlet.js";

export const SPENT = `an invocation may send and be sent ${EGRESS_LIMITS.bytes / 1024 ** 2} MiB`;
export const TOO_MANY_OPENED = `more than ${EGRESS_LIMITS.openingsPerSecond} connections a second are opened`;

/** One that a sandbox opened, and where it is to go. */
export class Connection {
	readonly client: Socket;
	readonly host: string;
	readonly port: number;
	readonly #from: Egressing;
	readonly #outlet: Outlet;
	/** End with the client. */
	readonly #upstreams = new Set<Socket>();
	/** Bytes of each that are charged already: one may be heard of in several places. */
	readonly #counted = new WeakMap<Socket, number>();
	#hasOpened = false;

	constructor(client: Socket, from: Egressing, outlet: Outlet, host: string, port: number) {
		this.client = client;
		this.host = host;
		this.port = port;
		this.#from = from;
		this.#outlet = outlet;
		this.#count(client);
		client.once("close", () => this.#endUpstreams());
	}

	/** How many are open for it. */
	get upstreams(): number {
		return this.#upstreams.size;
	}

	refuse(why: string): void {
		this.#from.refused(`${this.host}:${this.port}`, why);
		this.#end();
	}

	fail(error: NodeJS.ErrnoException): void {
		if (this.client.destroyed) return;
		this.#from.failed(`${this.host}:${this.port}`, reasonOf(error));
		this.#end();
	}

	/** One more for the same client, where each of its requests may need its own: it counts like one that the sandbox opens. */
	openNext(addresses: readonly string[]): Socket {
		if (this.#hasOpened && !this.#outlet.opens()) {
			this.refuse(TOO_MANY_OPENED);
			return new Socket().destroy();
		}
		return this.open(addresses);
	}

	/** A connection to one of these addresses. */
	open(addresses: readonly string[]): Socket {
		this.#hasOpened = true;
		const entries = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
		const [first] = entries as [(typeof entries)[number]];
		const lookup: LookupFunction = (_name, options, done) => {
			if (options.all === true) done(null, entries);
			else done(null, first.address, first.family);
		};
		const upstream = connect({ host: "looked-at.invalid", port: this.port, lookup, allowHalfOpen: true, noDelay: true });
		const fail = (error: Error) => this.fail(error);
		upstream.once("error", fail);
		upstream.once("connect", () => upstream.off("error", fail).on("error", () => this.client.resetAndDestroy()));
		this.#count(upstream);
		this.#upstreams.add(upstream);
		upstream.once("close", () => this.#upstreams.delete(upstream));
		return upstream;
	}

	/** @param bothWays whether nothing of the other side's is read yet */
	join(upstream: Socket, bothWays: boolean): void {
		const { client } = this;
		// With what it has said.
		upstream.once("close", () => client.destroySoon());
		client.pipe(upstream);
		if (bothWays) upstream.pipe(client);
	}

	/** A socket that TLS is spoken on here: from now on what comes is heard of inside alone, and the bytes are the socket's. */
	countInside(socket: Socket, inside: Socket): void {
		this.#count(socket, inside);
		if (this.#upstreams.has(socket)) this.#upstreams.add(inside);
		inside.once("close", () => this.#upstreams.delete(inside));
	}

	/** Of all that either side says, each byte once, also where it is read, put back and read again. Before anybody else hears of it. */
	#count(socket: Socket, heard = socket): void {
		this.#counted.set(socket, this.#counted.get(socket) ?? socket.bytesRead);
		const count = () => {
			const bytes = socket.bytesRead - (this.#counted.get(socket) ?? 0);
			this.#counted.set(socket, socket.bytesRead);
			if (this.#outlet.spend(this.#from.invocation, bytes) || this.client.destroyed) return;
			// Before what is below it: Node's HTTP client fails on what TLS still has when that ends first.
			if (heard !== socket) heard.removeAllListeners("data").destroy();
			this.refuse(SPENT);
			this.#outlet.close();
		};
		heard.on("data", count).once("close", count);
	}

	#end(): void {
		this.client.resetAndDestroy();
		this.#endUpstreams();
	}

	/** TLS before what it is spoken on. */
	#endUpstreams(): void {
		for (const upstream of [...this.#upstreams].reverse()) upstream.destroy();
	}
}

/** Without addresses: those of names are nobody's business. */
function reasonOf({ code, message }: NodeJS.ErrnoException): string {
	if (code === "ENOTFOUND" || code === "ENODATA" || code === "ETIMEOUT" || code === "ESERVFAIL" || code === "ECANCELLED")
		return `its name can't be resolved (${code})`;
	return code ?? message.slice(0, 200);
}
