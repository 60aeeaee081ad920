import { accessSync, constants } from "node:fs";
import type { NetworkReport } from "@berth/contracts";
import { addressText, SandboxAddresses } from "./addresses.js";
import { Forwarding } from "./forwarding.js";
import { connectSandbox, holdAddress, releaseAddress, tryWire } from "./netlink.js";
import { runNft } from "./nft.js";
import { hostResolver } from "./resolver.js";
import { rulesOf, WIRE_KINDS, WIRE_PREFIX } from "./rules.js";

/** The number in a wire's name has four digits to base 36. */
const NAMES = 36 ** 4;

export interface NetworksOptions {
	/** Eight hex digits: what everything of this stack is called by on this host. */
	readonly instance: string;
	/** Address of a resolver; undefined: the host's. */
	readonly resolver: string | undefined;
	/** Whether sandboxes are on bridges of a Docker Engine: rules are all that they need then. Default: false. */
	readonly bridged?: boolean;
}

/**
 * Wires between sandboxes and the host, and the rules for what goes over them. Rules come with the
 * first wire; `close` removes them. A wire ends with its sandbox's network namespace.
 */
export class Networks {
	readonly #table: string;
	readonly #wires: string;
	readonly #gateway: Buffer;
	readonly #resolver: string | undefined;
	readonly #addresses: SandboxAddresses;
	readonly #bridged: boolean;
	readonly #forwarding = new Forwarding();
	/** What is missing for any network; undefined when nothing is. */
	readonly missing: string | undefined;
	#made = 0;
	#isOpen = false;

	constructor({ instance, resolver, bridged = false }: NetworksOptions) {
		const seed = Number.parseInt(instance.slice(0, 8), 16);
		this.#table = `berth_${instance}`;
		this.#wires = `${WIRE_PREFIX}${instance}`;
		// Of the half of the block that no sandbox has an address in.
		this.#gateway = Buffer.from([198, 19, (seed >>> 8) & 0xff, seed & 0xff]);
		this.#resolver = resolver ?? hostResolver();
		this.#addresses = new SandboxAddresses(seed);
		this.#bridged = bridged;
		this.missing = this.#probe();
	}

	/** Where the worker listens for functions on a network. */
	get gateway(): string {
		return addressText(this.#gateway);
	}

	/**
	 * Connects a sandbox. @param pid a process of it @returns the address that it has from now on.
	 * @throws Error when this host can't
	 */
	connect(pid: number, kind: keyof typeof WIRE_KINDS): string {
		if (this.missing !== undefined) throw new Error(`this host has no networks for sandboxes: ${this.missing}`);
		this.open();
		const name = `${this.#wires}${WIRE_KINDS[kind]}${(this.#made++ % NAMES).toString(36)}`;
		return addressText(connectSandbox({ name, pid, addresses: this.#addresses }));
	}

	/** Rules and address for sandboxes that are on bridges, in the place of what an earlier process left: theirs may be running. */
	beginBridged(): NetworkReport {
		if (this.missing !== undefined) return { gateway: this.gateway, missing: this.missing };
		holdAddress(this.#gateway);
		this.open();
		const bridge = (kind: keyof typeof WIRE_KINDS) => `${this.#wires}${WIRE_KINDS[kind]}0`;
		return { gateway: this.gateway, bridges: { internet: bridge("internet"), join: bridge("join"), allow: bridge("allow") } };
	}

	/** Removes what an earlier launcher left, and has the gateway's address for the worker to listen on. */
	begin(): void {
		this.close();
		if (this.missing === undefined) holdAddress(this.#gateway);
	}

	/** Loads the rules, unless they are. */
	open(): void {
		if (this.#isOpen) return;
		this.#forwarding.need();
		runNft(["-f", "-"], this.#rules(this.#forwarding.isForUsAlone));
		this.#forwarding.turnOn();
		this.#isOpen = true;
	}

	/** Removes everything but wires, which end with their sandboxes; also what an earlier launcher left. Idempotent. */
	close(): void {
		this.#isOpen = false;
		releaseAddress(this.#gateway);
		if (this.missing !== undefined) return;
		const tables = runNft(["list", "tables"]).split("\n");
		for (const family of ["inet", "bridge"])
			if (tables.includes(`table ${family} ${this.#table}`)) runNft(["delete", "table", family, this.#table]);
		this.#forwarding.restore();
	}

	/** Tries everything out that a wire needs, without a trace. */
	#probe(): string | undefined {
		try {
			tryWire(`${this.#wires}try`);
			runNft(["-c", "-f", "-"], this.#rules(true));
			accessSync("/proc/sys/net/ipv4/ip_forward", constants.W_OK);
		} catch (error) {
			return (error as Error).message;
		}
		return this.#resolver === undefined
			? "no resolver that sandboxes could reach is in /etc/resolv.conf: set BERTH_RESOLVER to the address of one"
			: undefined;
	}

	#rules(forwardsForUsAlone: boolean): string {
		// What the rules are tried out with where there is none isn't loaded.
		const resolver = this.#resolver ?? "192.0.2.1";
		return rulesOf({ table: this.#table, wires: this.#wires, resolver, gateway: this.gateway, forwardsForUsAlone, bridged: this.#bridged });
	}
}
