import { BlockList, isIPv4, isIPv6 } from "node:net";

/** Whether an address is in one of the networks; every address is when there are none. @param address of a socket: IPv4 may stand in IPv6 */
export function isAllowed(address: string, networks: readonly string[]): boolean {
	if (networks.length === 0) return true;
	const list = new BlockList();
	for (const network of networks) {
		const [first = "", bits] = network.split("/");
		const family = isIPv4(first) ? "ipv4" : "ipv6";
		list.addSubnet(first, bits === undefined ? (family === "ipv4" ? 32 : 128) : Number(bits), family);
	}
	const plain = plainAddress(address);
	if (isIPv4(plain)) return list.check(plain, "ipv4");
	return isIPv6(plain) && list.check(plain, "ipv6");
}

/** `::ffff:192.0.2.1` as `192.0.2.1`. */
export function plainAddress(address: string): string {
	const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
	return mapped ?? address;
}
