import { EGRESS_GATEWAY, FUNCTIONS_GATEWAY, REFUSED_IPV4 } from "@berth/contracts";
import { ADDRESSES } from "./addresses.js";

/** What the rules of one stack are made of; nothing of it comes from a tenant. */
export interface RulesOptions {
	/** The table's name. */
	readonly table: string;
	/** What the names of our ends of wires begin with, whatever they are for. */
	readonly wires: string;
	/** The host's resolver. */
	readonly resolver: string;
	/** Where the worker listens for functions on a network, and for those that may reach some hosts. */
	readonly gateway: string;
	/** Whether this host forwarded for nobody before: it goes on so for everybody else. */
	readonly forwardsForUsAlone: boolean;
	/** Whether sandboxes share bridges of a Docker Engine, instead of a wire each. */
	readonly bridged: boolean;
}

/** What the names of our ends of wires begin with; the stack's digits follow. */
export const WIRE_PREFIX = "bh";
/** What follows on those: what it is for. */
export const WIRE_KINDS = { internet: "i", join: "j", allow: "a" } as const;

/** The wires of every stack on this host: what one refuses, no other can let through. */
const ANYBODYS = `"${WIRE_PREFIX}*"`;

/** Connections of one sandbox that the host remembers at the same time: its table of them is everybody's. */
const FLOWS = 1024;

/** Whoever tries is told at once: a reset isn't rationed, as ICMP is (icmp(7), icmp_ratelimit). */
const REFUSE = "goto refuse";

/**
 * The nftables rules of a stack, as nft(8) reads them: loading them takes the place of what an earlier launcher left.
 * They know sandboxes by the names of our ends of their wires, so none has to be added for one.
 */
export function rulesOf({ table, wires, resolver, gateway, forwardsForUsAlone, bridged }: RulesOptions): string {
	const sandboxes = `"${wires}*"`;
	const internet = `"${wires}${WIRE_KINDS.internet}*"`;
	const joined = `"${wires}${WIRE_KINDS.join}*"`;
	const allowed = `"${wires}${WIRE_KINDS.allow}*"`;
	const rules = {
		"refuse {": ["meta l4proto tcp reject with tcp reset", "reject with icmp type admin-prohibited"],
		// Before connections are looked up: IPv6, and a source that isn't the wire's own.
		"sources { type filter hook prerouting priority raw; policy accept;": [
			`iifname ${sandboxes} meta nfproto != ipv4 drop`,
			`iifname ${sandboxes} fib saddr . iif oif missing drop`,
		],
		// This host's own addresses, before anybody's rules (Docker's published ports) lead on from them.
		"host { type filter hook prerouting priority mangle; policy accept;": [`iifname ${sandboxes} fib daddr type local ${REFUSE}`],
		"names { type nat hook prerouting priority dstnat; policy accept;": [
			`iifname ${internet} ip daddr ${ADDRESSES.resolver} udp dport 53 dnat ip to ${resolver}`,
			`iifname ${internet} ip daddr ${ADDRESSES.resolver} tcp dport 53 dnat ip to ${resolver}`,
			`iifname ${joined} ip daddr ${ADDRESSES.resolver} udp dport 53 dnat ip to ${gateway}:${FUNCTIONS_GATEWAY.namesPort}`,
			`iifname ${joined} ip daddr ${ADDRESSES.functions} tcp dport 80 dnat ip to ${gateway}:${FUNCTIONS_GATEWAY.httpPort}`,
			`iifname ${allowed} ip daddr ${ADDRESSES.resolver} udp dport 53 dnat ip to ${gateway}:${EGRESS_GATEWAY.namesPort}`,
			// Whatever it is for: the worker is told where to, and says in the function's log what it refuses.
			`iifname ${allowed} meta nfproto ipv4 meta l4proto tcp dnat ip to ${gateway}:${EGRESS_GATEWAY.port}`,
		],
		"through { type filter hook forward priority filter; policy accept;": [
			`iifname { ${joined}, ${allowed} } ${REFUSE}`,
			`iifname ${internet} jump outward`,
			`oifname ${sandboxes} ct state != { established, related } drop`,
			...(forwardsForUsAlone ? [`iifname != ${ANYBODYS} oifname != ${ANYBODYS} drop`] : []),
		],
		"outward {": [
			"tcp flags syn tcp option maxseg size set rt mtu",
			"ct state { established, related } accept",
			`add @flows { ip saddr ct count over ${FLOWS} } ${REFUSE}`,
			`ct original ip daddr ${ADDRESSES.resolver} accept`,
			`ip daddr @refused ${REFUSE}`,
		],
		"inward { type filter hook input priority filter; policy accept;": [
			`iifname ${joined} ip daddr ${gateway} ct status dnat accept`,
			`iifname ${allowed} ct state new add @flows { ip saddr ct count over ${FLOWS} } ${REFUSE}`,
			`iifname ${allowed} ip daddr ${gateway} ct status dnat accept`,
			// The host's resolver may be one of its own addresses.
			`iifname ${internet} ip daddr ${resolver} ct original ip daddr ${ADDRESSES.resolver} accept`,
			`iifname ${sandboxes} ${REFUSE}`,
			`ip daddr ${gateway} drop`,
		],
		// Not even this host begins a conversation with a sandbox.
		"own { type filter hook output priority filter; policy accept;": [`oifname ${sandboxes} ct state != { established, related } drop`],
		"outside { type nat hook postrouting priority srcnat; policy accept;": [
			`ip saddr ${ADDRESSES.sandboxes} oifname != ${sandboxes} masquerade`,
		],
	};
	const chains = Object.entries(rules).map(([head, lines]) => `\tchain ${head}\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`);
	return [
		`add table inet ${table}\ndelete table inet ${table}\ntable inet ${table} {\n`,
		`\tset refused { type ipv4_addr; flags interval; elements = { ${REFUSED_IPV4.join(", ")} } }\n`,
		"\tset flows { type ipv4_addr; size 65535; flags dynamic; }\n",
		...chains,
		"}\n",
		...(bridged ? [apartRules(table)] : []),
	].join("");
}

/**
 * Whatever would go from one sandbox of a bridge straight to another, which the kernel forwards below IP. They have no other
 * addresses, and no capability to send under one.
 */
function apartRules(table: string): string {
	const rules = [
		"type filter hook forward priority filter; policy accept;",
		...["saddr", "daddr"].map((end) => `ip ${end} ${ADDRESSES.docker} drop`),
	];
	return `add table bridge ${table}\ndelete table bridge ${table}\ntable bridge ${table} {\n\tchain apart {\n${rules.map((rule) => `\t\t${rule}\n`).join("")}\t}\n}\n`;
}
