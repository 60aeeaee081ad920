import type { Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv4, type Server, type Socket } from "node:net";
import type { SecureContext } from "node:tls";
import { allowsEgress, EGRESS_GATEWAY, EGRESS_LIMITS, publicAddressesOf, SECOND_MS, WEB_PORTS } from "@berth/contracts";
import type { Egressing } from "@berth/sandbox";
import { serveNames } from "../networks/function-names.js";
import { portTaken } from "../networks/port-taken.js";
import { Connection, SPENT, TOO_MANY_OPENED } from "./connection.js";
import { firstWords } from "./first-words.js";
import type { Addresses } from "./known-addresses.js";
import { originalTarget } from "./original-target.js";
import { Outlet } from "./outlet.js";
import { permitted } from "./permitted-addresses.js";
import { PlainHttp, type Route } from "./plain-http.js";
import { ProjectConnections } from "./project-connections.js";
import { serveInTls } from "./tls-inside.js";

/** Of all functions of the node together. */
const MOST_CONNECTIONS = 4096;
/** How long a name may take, milliseconds. */
const RESOLVE_MS = 10 * SECOND_MS;
const NOT_ALLOWED = "the function's network.allow doesn't have it";
const TLS_SECRET = "a secret goes to it over TLS alone";
const PLAIN_SECRET = "the function's secret goes to it without TLS, as its manifest says port 80";

export interface EgressProxyOptions {
	/** This host's address, which only wires of such functions lead to. */
	readonly address: string;
	/** The rules of the wires see to it that no sandbox has another's address. */
	readonly find: (address: string) => Egressing | undefined;
	/** Of DNS; absent: this machine's. */
	readonly resolver?: string | undefined;
	/** What hosts that get secrets are held against. */
	readonly roots: () => SecureContext;
}

/**
 * The way out of sandboxes with `network: {allow}`: a rule of the launcher's leads whatever one connects to here. Names lead to addresses that
 * mean them in that sandbox alone, so who connects to one says which host it is for. That host's name is resolved here, and one of
 * the addresses that were looked at is connected to.
 */
export class EgressProxy {
	readonly #options: EgressProxyOptions;
	readonly #server: Server;
	readonly #http = new PlainHttp();
	readonly #outlets = new Map<string, Outlet>();
	readonly #projects = new ProjectConnections();
	#names: Datagrams | undefined;

	private constructor(options: EgressProxyOptions) {
		this.#options = options;
		this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#take(client));
		this.#server.maxConnections = MOST_CONNECTIONS;
	}

	/** @throws Error when the address isn't this host's, or taken */
	static async open(options: EgressProxyOptions): Promise<EgressProxy> {
		const proxy = new EgressProxy(options);
		await once(proxy.#server.listen(EGRESS_GATEWAY.port, options.address), "listening").catch(
			portTaken("tcp", options.address, EGRESS_GATEWAY.port),
		);
		proxy.#names = await serveNames(options.address, EGRESS_GATEWAY.namesPort, (name, from) => proxy.#addressOf(name, from));
		return proxy;
	}

	close(): void {
		this.#names?.close();
		this.#server.close();
		this.#http.close();
		for (const outlet of this.#outlets.values()) outlet.close();
	}

	/** Names that aren't allowed have none: nobody outside hears of what is asked. */
	#addressOf(name: string, address: string): string | undefined {
		const from = this.#options.find(address);
		if (from === undefined) return undefined;
		if (allowsEgress(from.allow, name)) return this.#outletOf(from).addressOf(name);
		from.refused(name, NOT_ALLOWED);
		return undefined;
	}

	#outletOf({ sandbox, gone }: Egressing): Outlet {
		const known = this.#outlets.get(sandbox);
		if (known !== undefined) return known;
		const outlet = new Outlet((host) => this.#look(host));
		this.#outlets.set(sandbox, outlet);
		void gone.then(() => {
			this.#outlets.delete(sandbox);
			outlet.close();
		});
		return outlet;
	}

	#take(client: Socket): void {
		// Whoever breaks off is gone; what it was connected to ends with it.
		client.on("error", () => undefined);
		const from = this.#options.find(client.remoteAddress ?? "");
		const target = originalTarget(client);
		if (from === undefined || target === undefined) {
			client.destroy();
			return;
		}
		const outlet = this.#outletOf(from);
		const { port } = target;
		const host = outlet.hostAt(target.address);
		const connection = new Connection(client, from, outlet, host, port);
		const against = this.#against(from, outlet, host, port);
		if (against !== undefined) {
			connection.refuse(against);
			return;
		}
		outlet.keep(client);
		this.#projects.keep(from.project, client);
		client.setTimeout(EGRESS_LIMITS.idleMs, () => client.destroy());
		this.#carry(connection, outlet, from).catch((error: NodeJS.ErrnoException) => connection.fail(error));
	}

	/** What speaks against one more; undefined: nothing. */
	#against(from: Egressing, outlet: Outlet, host: string, port: number): string | undefined {
		if (!outlet.opens()) return TOO_MANY_OPENED;
		if (!allowsEgress(from.allow, host, port)) return NOT_ALLOWED;
		if (outlet.isSpent(from.invocation)) return SPENT;
		if (!outlet.hasRoom) return `${EGRESS_LIMITS.connections} connections are open already`;
		if (!this.#projects.hasRoom(from.project))
			return `its project has ${EGRESS_LIMITS.projectConnections} connections open on this node already`;
		return undefined;
	}

	/** On the ports of the web a client speaks first; elsewhere the server may. */
	async #carry(connection: Connection, outlet: Outlet, from: Egressing): Promise<void> {
		const { client, host, port } = connection;
		const injections = from.injections.filter((one) => one.host === host && one.port === port);
		const [bound] = injections;
		const isWeb = WEB_PORTS.includes(port) || bound !== undefined;
		const beginning = firstWords(client, isWeb);
		const addresses = await outlet.known.of(host);
		if ("against" in addresses) {
			connection.refuse(addresses.against);
			return;
		}
		const early = isWeb ? undefined : connection.open(addresses);
		early?.pipe(client);
		const words = await beginning;
		if (words === undefined || client.destroyed) {
			client.destroy();
			early?.destroy();
		} else if (bound !== undefined && words.speaks === (bound.context === undefined ? "tls" : "http"))
			connection.refuse(bound.context === undefined ? PLAIN_SECRET : TLS_SECRET);
		else if (words.speaks === "http") {
			early?.destroy();
			this.#http.serve(client, { ...routeOf(connection, addresses), ...(bound && { injections }) });
		} else if (words.speaks === "other" && isWeb) connection.refuse("neither TLS nor HTTP is spoken on this connection");
		else if (words.speaks === "tls" && words.name !== undefined && words.name !== host)
			connection.refuse("the TLS on this connection is for another host");
		else if (bound?.context !== undefined) {
			const route = { ...routeOf(connection, addresses), injections };
			serveInTls(connection, bound.context(), route, this.#http, this.#options.roots());
		} else connection.join(early ?? connection.open(addresses), early === undefined);
	}

	async #look(host: string): Promise<Addresses> {
		const servers = this.#options.resolver === undefined ? undefined : [this.#options.resolver];
		return permitted(isIPv4(host) ? [host] : await publicAddressesOf(host, AbortSignal.timeout(RESOLVE_MS), servers));
	}
}

function routeOf(connection: Connection, addresses: readonly string[]): Route {
	const { host, port } = connection;
	return {
		host,
		port,
		connect: () => connection.openNext(addresses),
		refuse: (why) => connection.refuse(why),
		fail: (error) => connection.fail(error),
	};
}
