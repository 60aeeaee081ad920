import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import type { WaivableLimit } from "@berth/contracts";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok, orWithout, warning } from "./check.js";
import { runProgram } from "./program.js";

/** The oldest kernel that it is meant to run on (Debian 11's). */
const LEAST_KERNEL = [5, 10] as const;
/** A mount namespace whose end takes every mount in it away: nobody else sees what a check mounts. */
const OWN_MOUNTS = ["--mount", "--propagation", "private", "--"];

/** What sandboxes need of the kernel, tried out where that can be done without a trace. */
export async function checkKernel(isRoot: boolean, allowed: readonly WaivableLimit[]): Promise<readonly Check[]> {
	const tried = isRoot ? [await namespaces(), ...(await withDirectory(mounts))] : [];
	return [version(release()), architecture(process.arch), ...tried, await seccomp(allowed)];
}

export function version(kernel: string): Check {
	const [major = 0, minor = 0] = kernel.split(".").map(Number);
	const recent = major > LEAST_KERNEL[0] || (major === LEAST_KERNEL[0] && minor >= LEAST_KERNEL[1]);
	if (recent) return ok("kernel", `Linux ${kernel}.`);
	return warning(
		"kernel",
		`Linux ${kernel} is older than ${LEAST_KERNEL.join(".")}.`,
		"It may work, and nobody tests it: take a newer kernel.",
	);
}

export function architecture(arch: string): Check {
	if (arch === "x64" || arch === "arm64") return ok("processor", `${arch}.`);
	return failed("processor", `There is no seccomp profile for ${arch}.`, "Run it on x64 or arm64.");
}

async function namespaces(): Promise<Check> {
	const ran = await runProgram("unshare", ["--user", "--pid", "--fork", "--ipc", "--uts", "--net", "--cgroup", ...OWN_MOUNTS, "true"]);
	if (ran.ok) return ok("namespaces", "User, pid, mount, ipc, uts, network and cgroup namespaces can be made.");
	return failed(
		"namespaces",
		`Namespaces can't be made: ${ran.reason}.`,
		"sysctl user.max_user_namespaces must be above 0; in a container, run Berth on the host or in a privileged one.",
	);
}

async function mounts(directory: string): Promise<readonly Check[]> {
	const [lower, upper, target] = ["lower", "upper", "target"].map((name) => join(directory, name)) as [string, string, string];
	for (const each of [lower, upper, target]) await mkdir(each);
	const overlay = await runProgram("unshare", [
		...OWN_MOUNTS,
		"mount",
		"-t",
		"overlay",
		"-o",
		`ro,lowerdir=${upper}:${lower}`,
		"overlay",
		target,
	]);
	const shared = await runProgram("unshare", [...OWN_MOUNTS, "mount", "--bind", "--make-shared", target, target]);
	return [
		overlay.ok
			? ok("overlayfs", "Layers can be mounted over each other.")
			: failed("overlayfs", `No overlay can be mounted: ${overlay.reason}.`, "modprobe overlay; a kernel without it can't run Berth."),
		shared.ok
			? ok("mount propagation", "Mounts can be shared with a running sandbox.")
			: failed("mount propagation", `No mount can be shared: ${shared.reason}.`, "Run Berth on the host, or in a privileged container."),
	];
}

async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
	const directory = await mkdtemp(join(tmpdir(), "berth-doctor-"));
	try {
		return await work(directory);
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

/** @param path the actions that the kernel's filter knows (seccomp(2)) */
export async function seccomp(allowed: readonly WaivableLimit[], path = "/proc/sys/kernel/seccomp/actions_avail"): Promise<Check> {
	const mend = "Take a kernel with CONFIG_SECCOMP_FILTER: every distribution's has it.";
	const lack = (found: string) =>
		allowed.includes("seccomp")
			? warning("seccomp", `INSECURE: ${found} Functions may make any, as --insecure-allow=seccomp has it.`, mend)
			: failed("seccomp", found, orWithout("seccomp", mend));
	try {
		const actions = (await readFile(path, "utf8")).trim().split(" ");
		const missing = ["errno", "allow"].filter((action) => !actions.includes(action));
		if (missing.length === 0) return ok("seccomp", "System calls can be filtered.");
		return lack(`The kernel's filter of system calls lacks ${missing.join(" and ")}.`);
	} catch (error) {
		if (!isMissing(error)) throw error;
		return lack("The kernel has no filter of system calls (seccomp).");
	}
}
