import { type BootRequest, MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import { digest } from "../../testing/versions.js";
import { type ContainerPlace, containerConfig } from "./container-config.js";

const BOOT: BootRequest = {
	sandbox: `sb_${"0".repeat(26)}`,
	base: [digest("1")],
	kind: "function",
	program: { language: "node", oldSpaceMiB: 68, semiSpaceMiB: 4 },
	limits: { memoryBytes: 128 * MIB, cpuMilli: 1500, pids: 64, tmpfsBytes: 64 * MIB, tmpfsInodes: 1024 },
	network: "none",
};
const PLACE: ContainerPlace = {
	image: digest("2"),
	socket: "/data/agents/x.sock",
	resolvConf: "/data/resolv.conf",
	mounts: [],
	network: "none",
	uid: 0x7000_0000,
	node: "n",
	arch: "x64",
};

test.each([
	["a function of Node's", {}],
	["a function of Python's", { program: { language: "python" } }],
	["a build", { kind: "build" }],
	["install scripts", { kind: "scripts" }],
] as const)("the container of %s is under AppArmor's profile where there is one, else under what the Engine gives", (_, boot) => {
	const request = { ...BOOT, ...boot };
	const options = containerConfig(request, PLACE).HostConfig.SecurityOpt;
	expect(options.filter((option) => option.startsWith("apparmor"))).toEqual([]);
	const under = containerConfig(request, { ...PLACE, apparmorProfile: "berth-sandbox" }).HostConfig.SecurityOpt;
	expect(under).toEqual([...options, "apparmor=berth-sandbox"]);
});
