import { BlockList, isIPv4, isIPv6 } from "node:net";
import { SANDBOX_BLOCK } from "./sandbox-network.js";

/**
 * What isn't a public unicast address (IANA's special-purpose registry, RFC 6890), the wire server of Azure, and every
 * sandbox. Metadata services are link-local, shared (RFC 6598) or in 192.0.0.0/24. Neither functions nor callbacks get there.
 */
export const REFUSED_IPV4 = [
	"0.0.0.0/8",
	"10.0.0.0/8",
	"100.64.0.0/10",
	"127.0.0.0/8",
	"168.63.129.16/32",
	"169.254.0.0/16",
	"172.16.0.0/12",
	"192.0.0.0/24",
	"192.88.99.0/24",
	"192.168.0.0/16",
	SANDBOX_BLOCK,
	"224.0.0.0/3",
] as const;

/** Of the global unicast block (2000::/3): what leads to IPv4 addresses that nobody looked at (Teredo, 6to4), documentation, benchmarks, and what IANA keeps. */
const REFUSED_GLOBAL_IPV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"] as const;

const refused = listOf(REFUSED_IPV4, "ipv4");
const refusedGlobal = listOf(REFUSED_GLOBAL_IPV6, "ipv6");
const global = listOf(["2000::/3"], "ipv6");

/** Whether somebody else's code may have us connect there. IPv4 in IPv6 (`::ffff:127.0.0.1`, NAT64) isn't public, whatever it leads to. */
export function isPublicAddress(address: string): boolean {
	if (isIPv4(address)) return !refused.check(address, "ipv4");
	return isIPv6(address) && !address.includes("%") && global.check(address, "ipv6") && !refusedGlobal.check(address, "ipv6");
}

function listOf(networks: readonly string[], family: "ipv4" | "ipv6"): BlockList {
	const list = new BlockList();
	for (const network of networks) {
		const [address = "", bits] = network.split("/");
		list.addSubnet(address, Number(bits), family);
	}
	return list;
}
