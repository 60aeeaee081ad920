import type { Settings } from "@berth/config";
import { type Check, ok, warning } from "./check.js";
import { runProgram } from "./program.js";

/** What the rules of functions' networks are made of, in a network namespace that is gone when it has been tried. */
const TRIED = [
	"add table inet berth",
	"add chain inet berth sources { type filter hook prerouting priority raw; }",
	"add rule inet berth sources fib saddr . iif oif missing drop",
	"add chain inet berth names { type nat hook prerouting priority dstnat; }",
	"add rule inet berth names udp dport 53 dnat ip to 192.0.2.1",
	"add chain inet berth outside { type nat hook postrouting priority srcnat; }",
	"add rule inet berth outside masquerade",
];
/** With a Docker Engine they share bridges. */
const TRIED_WITH_DOCKER = [
	"add table bridge berth",
	"add chain bridge berth apart { type filter hook forward priority filter; }",
	"add rule bridge berth apart ip saddr 192.0.2.1 drop",
];

/** Whether functions may have networks here. Those without one need nothing of it. */
export async function checkNetworks({ resolver, engine }: Pick<Settings, "resolver" | "engine">): Promise<readonly Check[]> {
	const tried = engine === "docker" ? [...TRIED, ...TRIED_WITH_DOCKER] : TRIED;
	const ran = await runProgram("unshare", ["--net", "--", "nft", tried.join("; ")]);
	if (!ran.ok) {
		const mend = "apt-get install nftables; modprobe veth nf_tables nft_fib_inet nft_masq. Functions without a network need none of it.";
		return [warning("networks", `Functions can't be given networks: ${ran.reason}.`, mend)];
	}
	return [ok("networks", `Functions can be given networks; they ask ${resolver ?? "the host's resolver"} for names.`)];
}
