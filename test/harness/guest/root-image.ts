import { copyFile, cp, mkdir, readdir, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readPython } from "../../../packages/builder/src/python-base.js";
import { readShellTools } from "../../../packages/builder/src/shell-tools.js";
import type { GuestParts } from "./debian.js";
import { add, bundleProgram, makeImage, makeRoot, PROJECT } from "./guest-files.js";

const CHECKS = fileURLToPath(new URL("../../guest/stack.ts", import.meta.url));
const REAPER = fileURLToPath(new URL("../reaper-process.mjs", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../../fixtures/functions", import.meta.url));

/** What the stack starts, and what its own scripts need; busybox has the rest. */
const PROGRAMS = [
	"crun",
	"redis-server",
	"unshare",
	"setpriv",
	"mount",
	"umount",
	"bash",
	"tini-static",
	"python3",
	"socat",
	"flock",
	"nft",
	"ip",
	"mkfs.ext4",
	"nsenter",
] as const;
/** What networks and volumes need of Debian's cloud kernel beside layers' overlays; it has ext4 without. */
const MODULES = [
	...["fs/overlayfs/overlay", "drivers/block/loop", "drivers/net/veth", "lib/libcrc32c"],
	...["nfnetlink", "nf_tables"].map(inNetfilter),
	...["net/ipv4/netfilter/nf_defrag_ipv4", "net/ipv6/netfilter/nf_defrag_ipv6"],
	...["nf_conntrack", "nf_nat", "nf_conncount", "nft_ct", "nft_nat", "nft_chain_nat", "nft_masq", "nft_connlimit"].map(inNetfilter),
	...["net/ipv4/netfilter/nf_reject_ipv4", "net/ipv6/netfilter/nf_reject_ipv6"],
	...["nft_reject", "nft_reject_inet", "nft_fib"].map(inNetfilter),
	...["net/ipv4/netfilter/nft_fib_ipv4", "net/ipv6/netfilter/nft_fib_ipv6"],
	...["nft_fib_inet"].map(inNetfilter),
];
/** Packages of people who work on Berth; the stack needs none of them, and they are most of the bytes. */
const DEVELOPMENT =
	/^(?:@biomejs|@turbo|@typescript|@rolldown|@types|typescript|turbo|knip|lightningcss.*|vite|vitest|node-linux-.*|\.cache|\.bin)$/;
const IMAGE_MIB = 3072;

/**
 * Makes an ext4 image that a guest starts from: programs and libraries of this machine, the project as it was built
 * here, and the checks bundled into one file. Nothing is mounted for it.
 */
export async function makeRootImage(image: string, staging: string, parts: GuestParts): Promise<void> {
	await makeRoot(staging, parts, { programs: PROGRAMS, modules: MODULES });
	await symlink("/berth/infra/runtimes/node_modules/node24/bin/node", join(staging, "usr/bin/node"));
	await addPython(staging);
	await addProject(join(staging, "berth"));
	// Where the harness finds what it starts beside itself.
	await bundleProgram(CHECKS, join(staging, "berth/test/harness/main.mjs"));
	await copyFile(REAPER, join(staging, "berth/test/harness", basename(REAPER)));
	await cp(FIXTURES, join(staging, "berth/test/fixtures/functions"), { recursive: true });
	await makeImage(image, staging, IMAGE_MIB);
}

/** The base of Python's functions is made of the distribution's, with what that loads by itself. */
async function addPython(staging: string): Promise<void> {
	const { libraries, files } = await readPython();
	for (const { path, file } of [...libraries, ...(await readShellTools()).files]) await add(file, join(staging, path));
	const library = dirname(files.find(({ path }) => path.endsWith("/os.py"))?.path ?? "");
	// With its times: bytecode is held against those of its source.
	await cp(library, join(staging, library), { recursive: true, preserveTimestamps: true });
}

function inNetfilter(name: string): string {
	return `net/netfilter/${name}`;
}

async function addProject(to: string): Promise<void> {
	await mkdir(join(to, "infra"), { recursive: true });
	await copyFile(join(PROJECT, "package.json"), join(to, "package.json"));
	// One runtime under both names: reading another 120 MB costs an emulated machine a minute.
	const runtimes = join(to, "infra/runtimes/node_modules");
	await cp(join(PROJECT, "infra/runtimes/node_modules/node24"), join(runtimes, "node24"), { recursive: true });
	await symlink("node24", join(runtimes, "node22"));
	await cp(join(PROJECT, "packages"), join(to, "packages"), {
		recursive: true,
		verbatimSymlinks: true,
		filter: (path) => !/\/(?:src|bench|\.turbo)$/.test(path),
	});
	await mkdir(join(to, "node_modules"));
	for (const name of await readdir(join(PROJECT, "node_modules"))) {
		if (DEVELOPMENT.test(name)) continue;
		await cp(join(PROJECT, "node_modules", name), join(to, "node_modules", name), { recursive: true, verbatimSymlinks: true });
	}
}
