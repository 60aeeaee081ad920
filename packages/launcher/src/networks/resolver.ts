import { existsSync, readFileSync } from "node:fs";
import { isIPv4 } from "node:net";

/** The second is systemd-resolved's list of the servers that it asks itself; the first then names its own loopback address. */
const LISTS = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** The first resolver of this host's that can be reached from elsewhere; undefined when there is none. */
export function hostResolver(lists: readonly string[] = LISTS): string | undefined {
	return lists
		.filter((path) => existsSync(path))
		.flatMap((path) => readFileSync(path, "utf8").split("\n"))
		.map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
		.find((address) => isIPv4(address) && !address.startsWith("127."));
}
