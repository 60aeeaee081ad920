import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readAdminKey, storeAdminKey } from "./admin-key.js";
import { stopLeftovers } from "./leftovers.js";
import { takeLock } from "./lock.js";
import { identityOf, isRunning, type ProcessIdentity } from "./process-identity.js";
import { readSupervisorState, removeSupervisorState, type SupervisorState, writeSupervisorState } from "./state-file.js";
import { takeDown } from "./take-down.js";

const isRoot = process.getuid?.() === 0;
let directory: string;
let settings: ReturnType<typeof loadSettings>;
let paths: (typeof settings)["paths"];

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-state-"));
	settings = loadSettings({ BERTH_DATA_DIR: directory });
	({ paths } = settings);
	await mkdir(paths.run);
});
afterEach(() => rm(directory, { recursive: true }));

/** A real process that runs until it is told otherwise. */
async function bystander(program = "setInterval(() => {}, 1000)") {
	const child = spawn(process.execPath, ["-e", `${program}; process.stdout.write("up")`], { stdio: ["ignore", "pipe", "inherit"] });
	const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
	await once(child.stdout, "data");
	const identity = (await identityOf(child.pid as number)) as ProcessIdentity;
	return { identity, exited, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

/** An identity that nobody has any more. */
async function deadIdentity(): Promise<ProcessIdentity> {
	using gone = await bystander();
	process.kill(gone.identity.pid, "SIGKILL");
	await gone.exited;
	return gone.identity;
}

function stateOf(supervisor: ProcessIdentity, children: SupervisorState["children"] = []): SupervisorState {
	return { supervisor, phase: "ready", url: "http://127.0.0.1:1", startedAt: new Date().toISOString(), children };
}

describe("a process", () => {
	test("is known by its start, not by its pid alone", async () => {
		using child = await bystander();
		expect(await isRunning(child.identity)).toBe(true);
		expect(await isRunning({ ...child.identity, startTicks: child.identity.startTicks - 1 })).toBe(false);
		expect(await isRunning({ ...child.identity, bootId: "another boot" })).toBe(false);
	});

	test("that has ended has no identity", async () => {
		expect(await isRunning(await deadIdentity())).toBe(false);
	});
});

describe("the lock", () => {
	test("is refused while its holder runs, with the holder's pid, and free once it is given back", async () => {
		const lock = await takeLock(paths);
		expect(lock.holder.pid).toBe(process.pid);
		await expect(takeLock(paths)).rejects.toThrow(`supervisor ${process.pid}`);
		await lock[Symbol.asyncDispose]();
		await (await takeLock(paths))[Symbol.asyncDispose]();
	});

	test("of a supervisor that is gone goes to one of those who want it", async () => {
		// Holds it as a supervisor does: by an open file of its own.
		const holder = spawn("flock", [paths.supervisorLock, "cat"], { stdio: ["pipe", "pipe", "inherit"] });
		holder.stdin.write("held");
		await once(holder.stdout, "data");
		await expect(takeLock(paths)).rejects.toThrow("a stack is up already");
		holder.stdin.end();
		await once(holder, "exit");
		const results = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(paths)));
		const taken = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
		expect(taken).toHaveLength(1);
		await taken[0]?.[Symbol.asyncDispose]();
	});
});

describe("the state file", () => {
	test("is read as it was written, and gone when it is removed", async () => {
		const state = stateOf((await identityOf(process.pid)) as ProcessIdentity);
		await writeSupervisorState(paths, state);
		expect(await readSupervisorState(paths)).toEqual(state);
		expect(await readdir(paths.run)).toEqual(["supervisor.json"]);
		await removeSupervisorState(paths);
		expect(await readSupervisorState(paths)).toBeUndefined();
	});

	test.runIf(isRoot)("that somebody else planted isn't acted upon", async () => {
		await writeSupervisorState(paths, stateOf((await identityOf(process.pid)) as ProcessIdentity));
		const { chown } = await import("node:fs/promises");
		await chown(paths.supervisorFile, 12_345, 12_345);
		await expect(readSupervisorState(paths)).rejects.toThrow("belongs to uid 12345");
	});

	test("the key beside it is for its owner alone", async () => {
		expect(await readAdminKey(paths)).toBeUndefined();
		await storeAdminKey(paths, "berth_x");
		expect(await readAdminKey(paths)).toBe("berth_x");
		const { stat } = await import("node:fs/promises");
		expect((await stat(paths.adminKey)).mode & 0o777).toBe(0o600);
	});
});

describe("what a killed supervisor left", () => {
	test("is ended, also when it doesn't listen to SIGTERM, and named", async () => {
		using willing = await bystander();
		const names = await stopLeftovers(stateOf(await deadIdentity(), [{ name: "worker", ...willing.identity }]), 0);
		expect(names).toEqual(["worker"]);
		expect(await willing.exited).toEqual([null, "SIGTERM"]);
	});

	test("that has ended by itself is left alone, and so is a stranger with its pid", async () => {
		using stranger = await bystander();
		const reused = { ...stranger.identity, startTicks: 1, name: "gateway" };
		expect(await stopLeftovers(stateOf(await deadIdentity(), [{ name: "worker", ...(await deadIdentity()) }, reused]), 0)).toEqual([]);
		expect(await isRunning(stranger.identity)).toBe(true);
	});

	test("is taken down by `down`, which then finds nothing", async () => {
		using left = await bystander('process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000)');
		const removed = vi.fn(async () => undefined);
		expect(await takeDown(settings, removed)).toBe("nothing");
		expect(removed).not.toHaveBeenCalled();
		await writeSupervisorState(paths, stateOf(left.identity));
		expect(await takeDown(settings, removed)).toBe("stack");
		expect(await left.exited).toEqual([0, null]);
		expect(removed).toHaveBeenCalledTimes(1);
		expect(await takeDown(settings, removed)).toBe("nothing");
	});

	test("takes its sandboxes with it, or is found by the next `down`", async () => {
		await writeSupervisorState(paths, stateOf(await deadIdentity()));
		const busy = () => Promise.reject(new Error("a sandbox runs on"));
		await expect(takeDown(settings, busy)).rejects.toThrow("a sandbox runs on");
		const removed = vi.fn(async () => undefined);
		await takeDown(settings, removed);
		expect(removed).toHaveBeenCalledTimes(1);
	});
});
