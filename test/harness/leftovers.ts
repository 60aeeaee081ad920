import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namesIn } from "./directory-names.js";
import { eventually } from "./eventually.js";

const CGROUPS = "/sys/fs/cgroup";

/** The name of a stack's own directory in each cgroup hierarchy. */
export function cgroupNameOf(dataDir: string): string {
	return `berth-${createHash("sha256").update(dataDir).digest("hex").slice(0, 8)}`;
}

/** Cgroup directories of a stack's sandboxes, in every hierarchy. */
export function cgroupsOf(dataDir: string): readonly string[] {
	return directoriesOf(cgroupNameOf(dataDir));
}

/** Cgroups of a stack's own processes: one, in the hierarchy of the CPU. */
function platformsOf(dataDir: string): readonly string[] {
	return cgroupsOf(dataDir)
		.map((path) => join(path, "platform"))
		.filter((path) => existsSync(path));
}

/** Pids in there. */
export function platformProcessesOf(dataDir: string): readonly string[] {
	return platformsOf(dataDir).flatMap((path) => read(join(path, "cgroup.procs")).split("\n").filter(Boolean));
}

function directoriesOf(name: string): readonly string[] {
	const hierarchies = [CGROUPS, ...namesIn(CGROUPS).map((hierarchy) => join(CGROUPS, hierarchy))];
	return hierarchies.map((hierarchy) => join(hierarchy, name)).filter((path) => existsSync(path));
}

/** Sandboxes that have a cgroup, by id. */
export function sandboxCgroupsOf(dataDir: string): readonly string[] {
	const names = cgroupsOf(dataDir).flatMap((path) => namesIn(path).filter((name) => name.startsWith("sb_")));
	return [...new Set(names)];
}

/** Pids of a sandbox, as the host counts them. */
export function sandboxProcessesOf(dataDir: string, sandbox: string): readonly string[] {
	const lists = cgroupsOf(dataDir).map((path) => read(join(path, sandbox, "cgroup.procs")));
	return [...new Set(lists.flatMap((text) => text.split("\n").filter(Boolean)))];
}

/** Processes of a stack: its own by their data directory, its sandboxes' by their cgroup. */
export function processesOf(dataDir: string): readonly string[] {
	const cgroup = `/${cgroupNameOf(dataDir)}/`;
	return pids().flatMap((pid) => {
		const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
		const environment = read(`/proc/${pid}/environ`).split("\0");
		const ours =
			environment.includes(`BERTH_DATA_DIR=${dataDir}`) || command.includes(dataDir) || read(`/proc/${pid}/cgroup`).includes(cgroup);
		return ours && pid !== String(process.pid) ? [`${pid} ${command}`] : [];
	});
}

/** Mounts below a data directory, in the mount namespace of any process. */
function mountsOf(dataDir: string): readonly string[] {
	const points = pids().flatMap((pid) =>
		read(`/proc/${pid}/mountinfo`)
			.split("\n")
			.filter((line) => line.includes(dataDir))
			.map((line) => line.split(" ")[4] ?? line),
	);
	return [...new Set(points)];
}

/** What sandboxes have on disk: FIFOs and a socket each. */
export function sandboxFilesOf(dataDir: string): readonly string[] {
	const places = ["launcher/output", "launcher/incoming", "run/a", "artifacts/incoming"];
	return places.flatMap((place) => namesIn(join(dataDir, place)).map((name) => `${place}/${name}`));
}

/** The launcher's own hierarchy, which ends with its mount namespace. */
function hierarchiesOf(dataDir: string): readonly string[] {
	return read("/proc/self/cgroup")
		.split("\n")
		.filter((line) => line.includes(`name=${cgroupNameOf(dataDir)}:`));
}

/** What the names of a stack's wires to its sandboxes begin with, on this host. */
export function wirePrefixOf(dataDir: string): string {
	return cgroupNameOf(dataDir).replace("berth-", "bh");
}

/** The address that a stack holds on this host's loopback. */
function gatewayOf(dataDir: string): string {
	const [, , third, fourth] = Buffer.from(cgroupNameOf(dataDir).replace("berth-", ""), "hex");
	return `198.19.${third}.${fourth}/`;
}

/** The table of a stack's rules. */
export function tableOf(dataDir: string): string {
	return cgroupNameOf(dataDir).replace("-", "_");
}

/** Wires to sandboxes, which end some milliseconds after them, the rules for what goes over them, and the address where they lead. */
function networksOf(dataDir: string): readonly string[] {
	const lines = [...output("ip", "-o", "addr"), ...output("ip", "-o", "link"), ...output("nft", "list", "tables")];
	return lines.filter((line) => [wirePrefixOf(dataDir), tableOf(dataDir), ` ${gatewayOf(dataDir)}`].some((ours) => line.includes(ours)));
}

/** Wires first, and bridges that a Docker Engine which is no more has left: nothing may get out by them without the rules. */
function clearNetworks(dataDir: string): void {
	const [prefix, table, gateway] = [wirePrefixOf(dataDir), tableOf(dataDir), gatewayOf(dataDir)];
	const devices = namesIn("/sys/class/net").filter((name) => name.startsWith(prefix));
	for (const name of devices) output("ip", "link", "delete", name);
	for (const line of output("nft", "list", "tables")) if (line.endsWith(` ${table}`)) execFileSync("nft", ["delete", ...line.split(" ")]);
	if (output("ip", "-o", "addr").some((line) => line.includes(` ${gateway}`)))
		execFileSync("ip", ["address", "delete", `${gateway}32`, "dev", "lo"]);
}

/** Loop devices of its volumes: the kernel detaches one when its last mount is gone. */
export function loopDevicesOf(dataDir: string): readonly string[] {
	const attached = namesIn("/sys/block").filter((name) => read(`/sys/block/${name}/loop/backing_file`).startsWith(`${dataDir}/`));
	return attached.map((name) => `/dev/${name}`);
}

/** Everything that a stack which is down must not have left: empty when all is well. */
export function leftoversOf(dataDir: string): readonly string[] {
	return [
		...processesOf(dataDir).map((text) => `process ${text}`),
		...cgroupsOf(dataDir).map((path) => `cgroup ${path}`),
		...hierarchiesOf(dataDir).map((line) => `hierarchy ${line}`),
		...mountsOf(dataDir).map((path) => `mount ${path}`),
		...sandboxFilesOf(dataDir).map((path) => `file ${path}`),
		...networksOf(dataDir).map((line) => `network ${line}`),
		...loopDevicesOf(dataDir).map((path) => `loop device ${path}`),
	];
}

/** Ends the sandboxes that a stack which is down has left, and takes its networks away, so that a test that failed doesn't disturb the next one. */
export async function clearLeftovers(dataDir: string): Promise<void> {
	for (const sandbox of sandboxCgroupsOf(dataDir)) {
		for (const pid of sandboxProcessesOf(dataDir, sandbox)) endIfThere(Number(pid));
		for (const path of cgroupsOf(dataDir)) thaw(join(path, sandbox));
		await eventually(() => {
			if (sandboxProcessesOf(dataDir, sandbox).length > 0) throw new Error(`${sandbox} runs on`);
		});
	}
	for (const path of cgroupsOf(dataDir)) {
		for (const name of namesIn(path).filter((each) => each.startsWith("sb_"))) rmdirSync(join(path, name));
		rmdirSync(path);
	}
	clearNetworks(dataDir);
}

function endIfThere(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

/** On cgroup v1 a frozen process ends when it is thawed. */
function thaw(path: string): void {
	const state = join(path, "freezer.state");
	if (existsSync(state)) writeFileSync(state, "THAWED");
}

/** Lines that a program prints; none where there is no such program. */
function output(program: string, ...args: readonly string[]): readonly string[] {
	try {
		return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n");
	} catch {
		return [];
	}
}

function pids(): readonly string[] {
	return namesIn("/proc").filter((name) => /^\d+$/.test(name));
}

/** A process may end while it is looked at. */
function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
