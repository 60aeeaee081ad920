import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ImageReference } from "@berth/contracts";
import { PlatformCgroup } from "../../packages/cli/src/supervisor/platform-cgroup.js";
import { stampOf } from "../../packages/launcher/src/tree-stamp.js";
import { LaunchedNode } from "../conformance/launched-node.js";
import { LauncherProcess, makeDirectories, refusalOf } from "../conformance/launcher-process.js";
import { PROMISES } from "../conformance/promises.js";
import { report } from "../conformance/report.js";
import { SERVICE_UID } from "../conformance/service-user.js";
import { cpuWeightOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { cgroupFilesOf, cgroupFilesOwnedBy } from "./cgroup-files.js";

/** What runs inside of a guest: a launcher and a worker's pool, without what is around them; and what the guest's tests want to know of both. */
const DATA = "/var/lib/berth";
const ROOT = "/sys/fs/cgroup";
/** A boot takes an emulated machine seconds. */
const PATIENCE_MS = 120_000;
/** A run so short is within what a sandbox may use at once, after a rest so long. */
const REST_MS = 1500;

const [runtime = "crun", ...wanted] = process.argv.slice(2);
const BARE = {
	program: "/berth/launcher.mjs",
	dataDir: DATA,
	runtime,
	nextRuntime: "runc",
	image: JSON.parse(readFileSync("/berth/image.json", "utf8")) as ImageReference,
	blobs: "/berth/blobs",
	prewarms: true,
	isSlow: true,
	patienceMs: PATIENCE_MS,
};
const SPEC = { ...BARE, apparmorProfile: "berth-sandbox" };
let platform: PlatformCgroup | undefined;
let node: LaunchedNode;

/** The layers were unpacked by another machine, whose file system gave them other numbers. */
async function stampLayers(): Promise<void> {
	const layers = join(DATA, "launcher/layers");
	for (const name of readdirSync(layers).filter((each) => each !== "empty")) {
		writeFileSync(join(DATA, "launcher/stamps", name), await stampOf(join(layers, name)));
	}
}

/** In a cgroup namespace whose root was given the CPU alone, as a container's or a user's may be; and where cgroups can't be written. */
async function refusals() {
	writeFileSync(join(ROOT, "cgroup.subtree_control"), "+cpu");
	const mounted = "/usr/bin/umount /sys/fs/cgroup; /usr/bin/mount -t cgroup2 cgroup2 /sys/fs/cgroup;";
	const half = join(ROOT, "half");
	mkdirSync(half);
	const [lacking, readOnly] = await Promise.all([
		refusalOf({ ...BARE, around: `echo $$ >${half}/cgroup.procs; /usr/bin/unshare --cgroup --mount sh -c '${mounted}` }),
		refusalOf({ ...BARE, dataDir: `${DATA}-2`, around: `/usr/bin/unshare --mount sh -c '/usr/bin/mount -o remount,bind,ro ${ROOT};` }),
	]);
	rmdirSync(half);
	writeFileSync(join(ROOT, "cgroup.subtree_control"), "-cpu");
	return { lacking, readOnly };
}

async function up() {
	const unloaded = await refusalOf(SPEC);
	execFileSync("/usr/bin/apparmor_parser", ["--replace", "--skip-cache", "/berth/berth-sandbox"]);
	const handedDown = readFileSync(join(ROOT, "cgroup.subtree_control"), "utf8").trim();
	makeDirectories(DATA);
	await stampLayers();
	const launcher = await LauncherProcess.start(SPEC);
	const { cgroups, runtime, platform: directory } = launcher.ready;
	platform = await PlatformCgroup.enter(directory, []);
	const weightOf = (path: string) => Number(readFileSync(join(path, "cpu.weight"), "utf8"));
	const weights = { platform: weightOf(directory), whole: weightOf(directory.replace(/\/platform$/, "")) };
	node = await LaunchedNode.start(SPEC, launcher);
	return { handedDown, cgroups, runtime, weights, unloaded, own: readFileSync("/proc/self/cgroup", "utf8").trim() };
}

/** Before a sandbox knows its function and after; what of it the service user may write, tried. */
async function limits() {
	const { sandboxes } = node;
	const manifest = { memoryMiB: 320, cpuMilli: 500, tmpfsMiB: 8 };
	const id = await sandboxes.prewarmed(manifest);
	const before = cgroupFilesOf(DATA, id);
	const delegated = cgroupFilesOwnedBy(DATA, id, SERVICE_UID);
	// Its time is counted in ticks there: what hardly computes may have used none.
	const lease = await sandboxes.acquire("burns", manifest);
	const { sandbox, start, result } = await sandboxes.attempt(lease, { burn: 100 });
	const after = cgroupFilesOf(DATA, sandbox);
	const [name = ""] = readdirSync(ROOT).filter((each) => /^berth-[0-9a-f]{8}$/.test(each));
	const writable = readdirSync(join(ROOT, name, sandbox)).filter((file) => isWritten(join(ROOT, name, sandbox, file)));
	return { start, outcome: result.outcome, usage: result.usage, before, after, delegated, writable };
}

/** Opened for writing, which takes the right to; nothing is written. */
function isWritten(path: string): boolean {
	try {
		writeFileSync(path, "", { flag: "r+" });
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EACCES") return false;
		throw error;
	}
}

/** What a function is under, and what that keeps it from which nothing else does: a file of /proc that is its own. */
async function confined() {
	const own = ["/proc/self/attr/current", "/proc/self/oom_score_adj"];
	const ask = { read: own, list: ["/function/code"], write: ["/tmp/x", "/proc/self/oom_score_adj", "/proc/self/clear_refs"] };
	const { outcome, answer } = await node.sandboxes.ending("looks-around", ask);
	const { read, list, write } = answer as Record<string, Record<string, unknown>>;
	return { outcome, read, list, write };
}

/** One process of a sandbox has all of its memory: the kernel ends the others with it. */
const wholly = () => node.sandboxes.ending("fills-in-child", { fill: true });

/** What the kernel's files say of one that rests; then what it weighs while it uses little, and what it weighed when it had booted. */
async function resting() {
	const { sandboxes } = node;
	const first = await sandboxes.acquire("leaves-timer");
	const booted = cpuWeightOf(DATA, first.sandbox.id);
	const { sandbox } = await sandboxes.attempt(first, {});
	await sandboxes.frozen(sandbox);
	// The kernel stops what runs a moment after the word is written.
	const files = await eventually(() => {
		const seen = cgroupFilesOf(DATA, sandbox);
		if (!/^frozen 1$/m.test(seen["cgroup.events"] ?? "")) throw new Error(`it isn't frozen: ${seen["cgroup.events"]}`);
		return seen;
	}, PATIENCE_MS);
	// What booting and the first attempt took has to be rested from, and an emulated machine took more or less of it.
	const light = await eventually(async () => {
		await pause(REST_MS);
		let weight = 0;
		await sandboxes.attempt(await sandboxes.acquire("leaves-timer"), {}, PATIENCE_MS, () => {
			weight = cpuWeightOf(DATA, sandbox);
		});
		if (weight <= booted) throw new Error(`it weighs ${weight}, and ${booted} when it had booted`);
		return weight;
	}, PATIENCE_MS / 4);
	return { files, weights: { booted, light } };
}

async function down() {
	const left = await node.close(() => platform?.leave() ?? Promise.resolve());
	return { left, cgroups: readdirSync(ROOT).filter((name) => name.startsWith("berth")) };
}

/** In their order, by name; a guest runs those that it is asked for. */
const CHECKS: Readonly<Record<string, () => Promise<unknown>>> = { refusals, up, limits, confined, wholly, resting };

async function tryAll(checks: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
	for (const [name, check] of Object.entries(checks)) if (wanted.includes(name)) await report(name, check);
}

async function tryPromises(prefix: string): Promise<void> {
	for (const { key, tried } of PROMISES) if (key !== "down" && wanted.includes(prefix + key)) await report(prefix + key, () => tried(node));
}

await tryAll(CHECKS);
// The last but one has another launcher come, with the other runtime.
await tryPromises("");
await tryAll({ "runc-limits": limits, "runc-wholly": wholly });
await tryPromises("runc-");
await report("down", down);
process.exit(0);
