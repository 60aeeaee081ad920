import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { PlatformCgroup } from "../../packages/cli/src/supervisor/platform-cgroup.js";
import { stampOf } from "../../packages/launcher/src/tree-stamp.js";
import { cpuTicksOf, cpuWeightOf } from "../harness/cgroups.js";
import { leftoversOf, sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { cgroupFilesOf, cgroupFilesOwnedBy } from "./cgroup-files.js";
import { LauncherProcess, makeDirectories, refusalOf } from "./launcher-process.js";
import { report } from "./report.js";
import { PATIENCE_MS, Sandboxes } from "./sandboxes.js";

/** What runs inside of a guest: a launcher and a worker's pool, without what is around them; and what the guest's tests want to know of both. */
const DATA = "/var/lib/berth";
const ROOT = "/sys/fs/cgroup";
const SERVICE_UID = 64_770;
const STILL_MS = 1000;
/** A run so short is within what a sandbox may use at once, after a rest so long. */
const REST_MS = 1500;

const [, ...wanted] = process.argv.slice(2);
let launcher: LauncherProcess;
let platform: PlatformCgroup | undefined;
let sandboxes: Sandboxes;

/** The layers were unpacked by another machine, whose file system gave them other numbers. */
async function stampLayers(): Promise<void> {
	const layers = join(DATA, "launcher/layers");
	for (const name of readdirSync(layers).filter((each) => each !== "empty")) {
		writeFileSync(join(DATA, "launcher/stamps", name), await stampOf(join(layers, name)));
	}
}

/** As a worker: the pool has the rights of the service user, and no others. */
async function opened(): Promise<void> {
	process.setegid?.(SERVICE_UID);
	process.seteuid?.(SERVICE_UID);
	sandboxes = await Sandboxes.open(DATA);
}

function becomeRoot(): void {
	process.seteuid?.(0);
	process.setegid?.(0);
}

/** In a cgroup namespace whose root was given the CPU alone, as a container's or a user's may be; and where cgroups can't be written. */
async function refusals() {
	writeFileSync(join(ROOT, "cgroup.subtree_control"), "+cpu");
	const mounted = "/usr/bin/umount /sys/fs/cgroup; /usr/bin/mount -t cgroup2 cgroup2 /sys/fs/cgroup;";
	const half = join(ROOT, "half");
	mkdirSync(half);
	const [lacking, readOnly] = await Promise.all([
		refusalOf(DATA, `echo $$ >${half}/cgroup.procs; /usr/bin/unshare --cgroup --mount sh -c '${mounted}`),
		refusalOf(`${DATA}-2`, `/usr/bin/unshare --mount sh -c '/usr/bin/mount -o remount,bind,ro ${ROOT};`),
	]);
	rmdirSync(half);
	writeFileSync(join(ROOT, "cgroup.subtree_control"), "-cpu");
	return { lacking, readOnly };
}

async function up() {
	const unloaded = await refusalOf(DATA, "");
	execFileSync("/usr/bin/apparmor_parser", ["--replace", "--skip-cache", "/berth/berth-sandbox"]);
	const handedDown = readFileSync(join(ROOT, "cgroup.subtree_control"), "utf8").trim();
	makeDirectories(DATA, SERVICE_UID);
	await stampLayers();
	launcher = await LauncherProcess.start(DATA, "crun");
	const { cgroups, runtime, platform: directory } = launcher.ready;
	platform = await PlatformCgroup.enter(directory, []);
	const weightOf = (path: string) => Number(readFileSync(join(path, "cpu.weight"), "utf8"));
	const weights = { platform: weightOf(directory), whole: weightOf(directory.replace(/\/platform$/, "")) };
	await opened();
	return { handedDown, cgroups, runtime, weights, unloaded, own: readFileSync("/proc/self/cgroup", "utf8").trim() };
}

/** Before a sandbox knows its function and after; what of it the service user may write, tried. */
async function limits() {
	const manifest = { memoryMiB: 320, cpuMilli: 500, tmpfsMiB: 8 };
	const id = await sandboxes.prewarmed(manifest);
	const before = cgroupFilesOf(DATA, id);
	const delegated = cgroupFilesOwnedBy(DATA, id, SERVICE_UID);
	const lease = await sandboxes.acquire("sleeps", manifest);
	const { sandbox, start, result } = await sandboxes.attempt(lease, {});
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
	const { outcome, answer } = await sandboxes.ending("looks-around", ask);
	const { read, list, write, interfaces } = JSON.parse(answer ?? "{}") as Record<string, Record<string, unknown>>;
	return { outcome, read, list, write, interfaces: Object.keys(interfaces ?? {}) };
}

/** It ends well, and leaves a process: neither is the sandbox kept, nor what it has. */
async function strays() {
	const { sandbox, result } = await sandboxes.attempt(await sandboxes.acquire("leaves-process"), {});
	await sandboxes.gone([sandbox]);
	return { outcome: result.outcome, gone: sandboxProcessesOf(DATA, sandbox).length === 0 };
}

/** Still, and again at work; then what it weighs while it uses little, and what it weighed when it had booted. */
async function frozen() {
	const first = await sandboxes.acquire("leaves-timer");
	const booted = cpuWeightOf(DATA, first.sandbox.id);
	const { sandbox, result } = await sandboxes.attempt(first, {});
	await sandboxes.frozen(sandbox);
	const files = cgroupFilesOf(DATA, sandbox);
	const before = cpuTicksOf(DATA, sandbox);
	await pause(Math.max(STILL_MS, REST_MS));
	const ticks = cpuTicksOf(DATA, sandbox) - before;
	const again = await sandboxes.acquire("leaves-timer");
	let light = 0;
	const next = await sandboxes.attempt(again, {}, PATIENCE_MS, () => {
		light = cpuWeightOf(DATA, sandbox);
	});
	await sandboxes.frozen(sandbox);
	return {
		files,
		ticks,
		outcomes: [result.outcome, next.result.outcome],
		same: next.sandbox === sandbox && next.start === "warm",
		weights: { booted, light },
	};
}

/** A frozen sandbox is killed as it is. */
async function killedFrozen() {
	const { sandbox } = await sandboxes.attempt(await sandboxes.acquire("leaves-timer"), {});
	await sandboxes.frozen(sandbox);
	const before = sandboxProcessesOf(DATA, sandbox).length;
	await sandboxes.pool.kill(sandbox);
	await sandboxes.gone([sandbox]);
	return { before, after: sandboxProcessesOf(DATA, sandbox).length };
}

/** kill -9 of launcher and worker while sandboxes are prewarmed, frozen and at work; the next launcher drives the other runtime. */
async function orphans() {
	await sandboxes.prewarmed();
	const running = await sandboxes.acquire("sleeps", { env: { MARK: "runs" } });
	void sandboxes.attempt(running, { ms: PATIENCE_MS }).catch(() => undefined);
	await sandboxes.prewarmed();
	const left = sandboxCgroupsOf(DATA);
	const frozenOnes = left.filter((each) => cgroupFilesOf(DATA, each)["cgroup.freeze"] === "1").length;
	const processes = left.flatMap((each) => sandboxProcessesOf(DATA, each)).length;
	const ended = await launcher.end("SIGKILL");
	await sandboxes.lose();
	becomeRoot();
	launcher = await LauncherProcess.start(DATA, "runc");
	await opened();
	const { removed, runtime } = launcher.ready;
	const after = left.filter((each) => sandboxCgroupsOf(DATA).includes(each));
	return { ended, frozen: frozenOnes, processes, left: left.length, removed, after, runtime };
}

async function down() {
	await sandboxes.close();
	becomeRoot();
	const ended = await launcher.end("SIGTERM");
	await platform?.leave();
	const cgroups = readdirSync(ROOT).filter((name) => name.startsWith("berth"));
	return { ended, cgroups, left: leftoversOf(DATA) };
}

const outOfMemory = () => sandboxes.ending("fills-in-child", { fill: true });

/** In their order, by name; a guest runs those that it is asked for. */
const CHECKS: Readonly<Record<string, () => Promise<unknown>>> = {
	refusals,
	up,
	limits,
	confined,
	memory: outOfMemory,
	tasks: () => sandboxes.ending("stops-children", { start: true }),
	burns: () => sandboxes.ending("burns", { burn: true }, 1000),
	strays,
	frozen,
	orphans,
	killed: killedFrozen,
	"limits-runc": limits,
	"memory-runc": outOfMemory,
	down,
};

for (const [name, check] of Object.entries(CHECKS)) if (wanted.includes(name)) await report(name, check);
process.exit(0);
