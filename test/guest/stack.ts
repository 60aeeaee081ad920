import { setTimeout as pause } from "node:timers/promises";
import { World } from "../../packages/launcher/src/testing/world.js";
import { report } from "../conformance/report.js";
import { cpuTicksOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, type DeployInput, deploy, fixture } from "../harness/functions.js";
import { sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { Stack } from "../harness/stack.js";
import { cgroupFilesOf, cgroupFilesOwnedBy } from "./cgroup-files.js";
import { OUTSIDE } from "./outside.js";

/** What runs inside of a guest: a stack, and what its host's tests want to know about it. Everything is slow here. */
const PATIENCE_MS = 240_000;
const SERVICE_UID = 64_770;
const STILL_MS = 5000;

const [runtime = "auto", ...wanted] = process.argv.slice(2);
let world: World;
let stack: Stack;

const started = async () => {
	world = await World.make();
	const ready = { BERTH_PREWARMED: "1", BERTH_PREWARMED_BUILDS: "1" };
	stack = await Stack.start({ ...ready, BERTH_OCI_RUNTIME: runtime, BERTH_MEMORY_MIB: "2048", BERTH_RESOLVER: world.resolver });
};
const stopped = async () => {
	try {
		await stack.stop();
	} finally {
		await world[Symbol.asyncDispose]();
	}
};
const doctor = async () => JSON.parse((await stack.berth("doctor", "--json")).stdout) as unknown;

/** A prewarmed sandbox: a boot takes this machine nearly as long as it may, so whoever needs one waits for it. */
const prewarmed = (kind: "function" | "build") =>
	eventually(async () => {
		const found = (await stack.client.sandboxes()).find((each) => each.state === "prewarmed" && each.kind === kind);
		if (found === undefined) throw new Error(`none is prewarmed (${kind})`);
		return found.id;
	}, PATIENCE_MS);

async function deployed(input: DeployInput): Promise<Deployed> {
	await prewarmed("build");
	return deploy(stack, { timeoutMs: PATIENCE_MS / 2, ...input });
}

async function limits() {
	const before = cgroupFilesOf(stack.dataDir, await prewarmed("function"));
	const { record } = await invoked({ source: fixture("sleeps"), memoryMiB: 192, cpuMilli: 500, tmpfsMiB: 8 });
	const sandbox = record.sandbox ?? "";
	const after = cgroupFilesOf(stack.dataDir, sandbox);
	return { start: record.start, usage: record.usage, before, after, delegated: cgroupFilesOwnedBy(stack.dataDir, sandbox, SERVICE_UID) };
}

async function invoked(input: DeployInput, payload: unknown = {}) {
	const subject = await deployed(input);
	await prewarmed("function");
	return { subject, ...(await again(subject, payload)) };
}

/** Invokes, and looks at once for what still runs of an attempt that is said to have ended. */
async function again(subject: Deployed, payload: unknown) {
	const answer = await subject.invoke(payload);
	const record = await subject.record(answer);
	const processes = sandboxProcessesOf(stack.dataDir, record.sandbox ?? "");
	return { record, processes, body: answer.raw.body.toString() };
}

/** How an invocation ended, and that nothing of it is left where it was killed. */
async function ending(name: string, payload: unknown, input: Omit<DeployInput, "source"> = {}) {
	const { record, processes } = await invoked({ source: fixture(name), ...input }, payload);
	const { outcome, limitsHit, usage, error } = record;
	const sandbox = record.sandbox ?? "";
	const killed = outcome !== "succeeded";
	if (killed) await eventually(() => none(sandboxCgroupsOf(stack.dataDir).filter((each) => each === sandbox)), PATIENCE_MS);
	return { outcome, limitsHit, usage, error: error?.message, processes: killed ? processes.length : 0 };
}

function none(found: readonly string[]): void {
	if (found.length > 0) throw new Error(`still there: ${found.join(", ")}`);
}

async function frozen() {
	const { subject, record } = await invoked({ source: fixture("leaves-timer") });
	const sandbox = record.sandbox ?? "";
	const files = await eventually(() => {
		const seen = cgroupFilesOf(stack.dataDir, sandbox);
		if (!/^FROZEN$|frozen 1/m.test(`${seen["freezer.state"]}\n${seen["cgroup.events"]}`)) throw new Error("it isn't frozen");
		return seen;
	}, PATIENCE_MS);
	const before = cpuTicksOf(stack.dataDir, sandbox);
	await pause(STILL_MS);
	const ticks = cpuTicksOf(stack.dataDir, sandbox) - before;
	const { record: next, body } = await again(subject, {});
	return { files, ticks, thawed: next.sandbox === sandbox && next.outcome === "succeeded", timer: JSON.parse(body) as unknown };
}

/** kill -9 of the launcher while sandboxes are frozen, prewarmed and running. */
async function launcherKilled() {
	const subject = await deployed({ source: fixture("sleeps"), timeoutMs: PATIENCE_MS });
	await prewarmed("function");
	const running = subject.invoke({ ms: PATIENCE_MS }).catch(() => undefined);
	await pause(STILL_MS);
	const before = sandboxCgroupsOf(stack.dataDir);
	await stack.killAndAwaitNext("launcher", PATIENCE_MS);
	await running;
	await eventually(() => none(sandboxCgroupsOf(stack.dataDir).filter((each) => before.includes(each))), PATIENCE_MS);
	await eventually(() => subject.result({ ms: 0 }), PATIENCE_MS);
	return { before: before.length, processes: before.flatMap((each) => sandboxProcessesOf(stack.dataDir, each)).length };
}

/** By name; a guest runs those that it is asked for, between its stack's start and end. */
const CHECKS: Readonly<Record<string, () => Promise<unknown>>> = {
	doctor,
	limits,
	heap: () => ending("fills-heap", { fill: true }),
	buffers: () => ending("fills-buffers", { fill: true }),
	scratch: () => ending("fills-scratch", { fill: true }, { tmpfsMiB: 256 }),
	burns: () => ending("burns", { burn: true }, { timeoutMs: 2000 }),
	exits: () => ending("exits", { how: "exit" }),
	aborts: () => ending("exits", { how: "abort" }),
	forks: () => ending("fork-bomb", { fork: true }, { memoryMiB: 240 }),
	frozen,
	launcher: launcherKilled,
};

await report("up", started);
for (const [name, check] of Object.entries(CHECKS)) if (wanted.includes(name)) await report(name, check);
for (const [name, check] of Object.entries(OUTSIDE)) {
	if (wanted.includes(name)) await report(name, () => check({ stack, world, deployed, patienceMs: PATIENCE_MS }));
}
await report("down", stopped);
