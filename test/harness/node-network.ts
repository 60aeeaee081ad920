import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { namesIn } from "./directory-names.js";

/** Network namespaces that `ip netns` knows. */
const NAMESPACES = "/run/netns";
const DEVICES = "/sys/class/net";
/** Of ours, with the pid of whoever made it: a bridge, the host's end of a machine's wire, a machine's namespace. */
const OURS = /^(?:btf(\d+)|bt(\d+)x\d+|berth-test-(\d+)-\d+)$/;
/** In each machine's namespace, all that is done to its network. */
const TABLE = "inet faults";
const SUBNETS = 256;
/** Said, since a bridge takes the lowest of its wires' otherwise: with each machine that joined, the others would send to the old one for half a minute. */
const BRIDGE_ADDRESS = "02:62:65:72:74:68";

/**
 * A network of this machine's with machines of their own in it: each has a network namespace and a wire to a bridge, so that one can be cut off from
 * others, or lose packets. Servers that they share are on addresses of the bridge. Whoever made it disposes of it, after all that runs in it has ended;
 * what a run left that was killed, the next one takes away.
 */
export class NodeNetwork implements Disposable {
	readonly #bridge = `btf${process.pid}`;
	readonly #subnet: string;
	readonly #machines: Machine[] = [];
	#addresses = 1;

	private constructor(subnet: string) {
		this.#subnet = subnet;
	}

	static make(): NodeNetwork {
		sweep();
		const taken = output("ip", "-o", "-4", "address", "show");
		const subnets = Array.from({ length: SUBNETS }, (_, n) => `10.213.${(process.pid + n) % SUBNETS}`);
		const subnet = subnets.find((each) => !taken.includes(` ${each}.`));
		if (subnet === undefined) throw new Error("every subnet of tests is taken");
		const network = new NodeNetwork(subnet);
		ip("link", "add", network.#bridge, "address", BRIDGE_ADDRESS, "type", "bridge");
		ip("link", "set", network.#bridge, "up");
		ip("address", "add", `${subnet}.1/24`, "dev", network.#bridge);
		return network;
	}

	/** One more address of the bridge, for a server. */
	host(): string {
		const address = this.#next();
		ip("address", "add", `${address}/24`, "dev", this.#bridge);
		return address;
	}

	/** One more machine. */
	machine(): Machine {
		const machine = new Machine(`${process.pid}`, this.#machines.length, this.#next());
		this.#machines.push(machine);
		machine.connect(this.#bridge);
		return machine;
	}

	[Symbol.dispose](): void {
		for (const machine of this.#machines) machine[Symbol.dispose]();
		remove(this.#bridge);
	}

	#next(): string {
		return `${this.#subnet}.${++this.#addresses}`;
	}
}

/** A machine's network: a namespace of its own, on a wire. */
export class Machine implements Disposable {
	readonly address: string;
	readonly namespace: string;
	readonly #wire: string;
	#cutOff: readonly string[] = [];
	#losesPercent = 0;

	/** @param owner the pid of whoever makes it */
	constructor(owner: string, index: number, address: string) {
		this.address = address;
		this.namespace = `berth-test-${owner}-${index}`;
		this.#wire = `bt${owner}x${index}`;
	}

	/** What starts a program in it. */
	get around(): readonly string[] {
		return ["nsenter", `--net=${NAMESPACES}/${this.namespace}`, "--"];
	}

	connect(bridge: string): void {
		ip("netns", "add", this.namespace);
		ip("link", "add", this.#wire, "type", "veth", "peer", "name", "eth0", "netns", this.namespace);
		ip("link", "set", this.#wire, "master", bridge, "up");
		const inside = (...args: readonly string[]) => ip("-n", this.namespace, ...args);
		inside("link", "set", "lo", "up");
		inside("address", "add", `${this.address}/24`, "dev", "eth0");
		inside("link", "set", "eth0", "up");
	}

	/** From now on nothing gets there or comes from there, and nobody is told: what is sent is lost. */
	cutOff(addresses: readonly string[]): void {
		this.#cutOff = addresses;
		this.#apply();
	}

	/** From now on so many of the packets that arrive are lost. TCP sends them again, after a fifth of a second and more: the network is slow. */
	lose(percent: number): void {
		this.#losesPercent = percent;
		this.#apply();
	}

	/** The network is as it was. */
	mend(): void {
		this.#cutOff = [];
		this.#losesPercent = 0;
		this.#apply();
	}

	/** The wire first: a namespace stays as long as anybody has a copy of its mount. */
	[Symbol.dispose](): void {
		remove(this.#wire);
		remove(this.namespace);
	}

	#apply(): void {
		const some = this.#cutOff.length > 0 ? `{ ${this.#cutOff.join(", ")} }` : undefined;
		const drops = (side: "saddr" | "daddr") => (some === undefined ? "" : `ip ${side} ${some} drop`);
		const losses = this.#losesPercent > 0 ? `iifname "eth0" numgen random mod 100 < ${this.#losesPercent} drop` : "";
		const rules = `table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
	chain arrives { type filter hook input priority -10; policy accept;
		${drops("saddr")}
		${losses}
	}
	chain leaves { type filter hook output priority -10; policy accept;
		${drops("daddr")}
	}
}
`;
		execFileSync("nsenter", [...this.around.slice(1), "nft", "-f", "-"], { input: rules, stdio: ["pipe", "ignore", "inherit"] });
	}
}

/** Takes away what runs left that are no more. */
function sweep(): void {
	for (const name of [...namesIn(NAMESPACES), ...namesIn(DEVICES)]) {
		const [, ...pids] = OURS.exec(name) ?? [];
		const pid = pids.find((each) => each !== undefined);
		if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(name);
	}
}

function remove(name: string): void {
	if (existsSync(`${NAMESPACES}/${name}`)) ip("netns", "delete", name);
	else if (existsSync(`${DEVICES}/${name}`)) ip("link", "delete", name);
}

function ip(...args: readonly string[]): void {
	execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
}

function output(program: string, ...args: readonly string[]): string {
	return execFileSync(program, args, { encoding: "utf8" });
}
