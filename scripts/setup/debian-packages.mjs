import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { findProgram, ROOT } from "./places.mjs";
import { runProgram } from "./run-program.mjs";

/**
 * Debian's redis-server is a link to this program of redis-tools, which is the server when it is started under that name.
 * The package redis-server would also run a service of its own on port 6379, from now on and at every boot.
 */
const REDIS_PROGRAM = "/usr/bin/redis-check-rdb";
const REDIS_LINK = "/usr/local/bin/redis-server";

/** What has to be there, and which package has it. */
const NEEDS = [
	{ package: "crun", what: "an OCI runtime", there: () => findProgram("crun") !== undefined || findProgram("runc") !== undefined },
	{ package: "redis-tools", what: "the Redis server", there: () => findProgram("redis-server") !== undefined || existsSync(REDIS_PROGRAM) },
	{ package: "tini", what: "the init of every sandbox", there: () => existsSync("/usr/bin/tini-static") },
	{ package: "nftables", what: "the rules of functions' networks", there: () => findProgram("nft") !== undefined },
	{ package: "e2fsprogs", what: "the file systems of volumes", there: () => findProgram("mkfs.ext4") !== undefined },
	{ package: "python3-pip-whl", what: "pip, for the packages of Python functions", there: hasPip },
	{ package: "python3", what: "the runtime of Python functions", there: hasPython },
	{ package: "busybox", what: "the shell of custom runtimes", there: () => existsSync("/bin/busybox") },
	{ package: "socat", what: "what makes a shell script a server", there: () => existsSync("/usr/bin/socat") },
];

/** With its whole standard library: python3-minimal has a part of it. */
function hasPython() {
	return spawnSync("/usr/bin/python3", ["-I", "-c", "import asyncio"]).status === 0;
}

/** As one file: Debian's, or the one that ensurepip brings along elsewhere. */
const FIND_PIP = `
import glob, sys, sysconfig
directories = "/usr/share/python-wheels", sysconfig.get_path("stdlib") + "/ensurepip/_bundled"
sys.exit(not any(glob.glob(directory + "/pip-*.whl") for directory in directories))
`;
function hasPip() {
	return spawnSync("/usr/bin/python3", ["-I", "-c", FIND_PIP]).status === 0;
}

/** An OCI runtime, the Redis server, an init, Python and a shell, from the distribution. */
export const debianPackages = {
	title: "Distribution packages",
	plan() {
		const missing = NEEDS.filter((need) => !need.there());
		const said = missing.map((need) => `${need.package} (${need.what})`);
		if (findProgram("redis-server") === undefined) said.push(`${REDIS_LINK}, a link to ${REDIS_PROGRAM}`);
		return said.length === 0 ? undefined : `installs ${said.join(", ")}`;
	},
	async run(log) {
		const missing = NEEDS.filter((need) => !need.there()).map((need) => need.package);
		if (missing.length > 0) await install(log, missing);
		if (findProgram("redis-server") === undefined) await linkRedis(log);
	},
};

const TRIPLET = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

/** What only tests want: other people's readers of image layouts, what a registry's tokens are signed with, and what a Docker Engine runs on. */
const TEST_NEEDS = [
	{ package: "skopeo", what: "reads image layouts", there: () => findProgram("skopeo") !== undefined },
	{ package: "openssl", what: "makes a certificate", there: () => findProgram("openssl") !== undefined },
	{ package: "gcc", what: "compiles the example in C", there: () => findProgram("cc") !== undefined },
	{ package: "g++", what: "compiles packages of npm's", there: () => existsSync("/usr/bin/g++") },
	{ package: "make", what: "the same", there: () => existsSync("/usr/bin/make") },
	{ package: "libc6-dev", what: "the C library to link", there: () => existsSync("/usr/include/stdio.h") },
	{ package: "iproute2", what: "makes network devices", there: () => findProgram("ip") !== undefined },
	{ package: "umoci", what: "unpacks images", there: () => findProgram("umoci") !== undefined },
	{ package: "runc", what: "the OCI runtime of a Docker Engine", there: () => findProgram("runc") !== undefined },
	...(process.arch === "x64"
		? [{ package: "qemu-system-x86", what: "a machine with cgroup v2 alone", there: () => findProgram("qemu-system-x86_64") !== undefined }]
		: []),
	{ package: "systemd", what: "reads the unit in infra/systemd", there: () => findProgram("systemd-analyze") !== undefined },
	{ package: "apparmor", what: "reads the profile in infra/apparmor", there: () => findProgram("apparmor_parser") !== undefined },
	{ package: "debootstrap", what: "makes the base of infra/docker's images", there: () => findProgram("debootstrap") !== undefined },
	{ package: "docker-compose", what: "reads infra/docker-compose.yml", there: () => findProgram("docker-compose") !== undefined },
	{ package: "runsc", what: "runs functions under gVisor", there: () => findProgram("runsc") !== undefined },
	{
		package: "libdevmapper1.02.1",
		what: "a library of a Docker Engine",
		there: () => ["/lib", "/usr/lib"].some((lib) => existsSync(join(lib, TRIPLET, "libdevmapper.so.1.02.1"))),
	},
];
/** Packages that would run a service of their own when they are installed are only unpacked here. */
const UNPACKED = join(ROOT, "node_modules", ".berth");
const TEST_SERVICES = [
	{ packages: ["docker-registry"], directory: "docker-registry", program: "usr/bin/docker-registry" },
	{ packages: ["docker.io", "containerd"], directory: "docker", program: "usr/sbin/dockerd" },
	{ packages: ["prometheus"], directory: "prometheus", program: "usr/bin/promtool" },
].map(({ packages, directory, program }) => ({
	packages,
	directory: join(UNPACKED, directory),
	there: () => existsSync(join(UNPACKED, directory, program)),
}));

/** Programs that tests run against: readers of image layouts, an OCI registry, a Docker Engine; and what reads the rules of Prometheus. */
export const testPackages = {
	title: "Programs for tests",
	plan() {
		const said = TEST_NEEDS.filter((need) => !need.there()).map((need) => `${need.package} (${need.what})`);
		for (const { packages, directory, there } of TEST_SERVICES)
			if (!there()) said.push(`${packages.join(" and ")}, unpacked into ${directory}`);
		return said.length === 0 ? undefined : `installs ${said.join(", ")}`;
	},
	async run(log) {
		const missing = TEST_NEEDS.filter((need) => !need.there()).map((need) => need.package);
		if (missing.length > 0) await install(log, missing);
		for (const { packages, directory, there } of TEST_SERVICES) if (!there()) await unpack(log, packages, directory);
	},
};

async function unpack(log, names, directory) {
	const advice = `Look at the network, then by hand: apt-get download ${names.join(" ")}; dpkg-deb --extract each into ${directory}`;
	rmSync(directory, { recursive: true, force: true });
	mkdirSync(directory, { recursive: true });
	const download = () => runProgram(log, "apt-get", ["-q", "download", ...names], { advice, cwd: directory });
	try {
		await download();
	} catch (error) {
		if (!(error instanceof SetupFailure)) throw error;
		await runProgram(log, "apt-get", ["-q", "update"], { advice });
		await download();
	}
	for (const archive of readdirSync(directory).filter((file) => file.endsWith(".deb"))) {
		await runProgram(log, "dpkg-deb", ["--extract", archive, "."], { advice, cwd: directory });
		rmSync(join(directory, archive));
	}
}

async function install(log, packages) {
	if (findProgram("apt-get") === undefined) throw new SetupFailure("there is no apt-get here", otherDistribution());
	requireRoot(`apt-get install ${packages.join(" ")}`);
	if (!(await haveCandidates(log, packages)))
		await runProgram(log, "apt-get", ["-q", "update"], { advice: "Look at /etc/apt/sources.list and the network." });
	await runProgram(log, "apt-get", ["-q", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "install", ...packages], {
		advice: `Install them by hand: apt-get install ${packages.join(" ")}`,
		env: { DEBIAN_FRONTEND: "noninteractive" },
	});
}

/** Whether the package lists that are there can be used: a bare image has none, an old one has files that are gone. */
async function haveCandidates(log, packages) {
	try {
		const output = await runProgram(log, "apt-get", ["-q", "--simulate", "--no-install-recommends", "install", ...packages], {
			advice: "",
		});
		await runProgram(log, "apt-get", ["-q", "-y", "--download-only", "--no-install-recommends", "install", ...packages], { advice: "" });
		return output.includes("Inst ");
	} catch (error) {
		if (error instanceof SetupFailure) return false;
		throw error;
	}
}

async function linkRedis(log) {
	requireRoot(`ln -s ${REDIS_PROGRAM} ${REDIS_LINK}`);
	symlinkSync(REDIS_PROGRAM, REDIS_LINK);
	const version = await runProgram(log, REDIS_LINK, ["--version"], { advice: "Install the package redis-server." });
	if (!version.startsWith("Redis server"))
		throw new SetupFailure(`${REDIS_LINK} isn't a Redis server: ${version}`, `rm ${REDIS_LINK}, then install the package redis-server.`);
}

function requireRoot(command) {
	if (process.geteuid() !== 0) throw new SetupFailure("only root can install packages", `As root: ${command}`);
}

function otherDistribution() {
	return "Install crun or runc, redis-server (6.2 or newer), Python as /usr/bin/python3, busybox as /bin/busybox, socat as /usr/bin/socat and tini's static binary as /usr/bin/tini-static with the packages of your distribution, then run this again.";
}
