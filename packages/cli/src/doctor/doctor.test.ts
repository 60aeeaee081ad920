import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { loadSettings } from "@berth/config";
import { MIB, type WaivableLimit } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identityOf } from "../supervisor/process-identity.js";
import { answersPing } from "../supervisor/redis.js";
import { checkAppArmor } from "./apparmor.js";
import { checkCgroups } from "./cgroups.js";
import { type Check, failed, ok, warning } from "./check.js";
import { checkDataDirectory } from "./data-directory.js";
import { whatIsEnforced } from "./enforced.js";
import { checkEngine } from "./engine.js";
import { architecture, seccomp, version } from "./kernel.js";
import { checkMemory } from "./machine.js";
import { redisVersion, runtime } from "./programs.js";
import { askRedis, parseReplies, RedisError } from "./redis-connection.js";
import { checkRedisServers, recordChecks, roomChecks, settingChecks } from "./redis-settings.js";
import { checkWrites } from "./redis-writes.js";
import { settingsInUse } from "./running-settings.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-doctor-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function write(path: string, text = ""): Promise<string> {
	const full = join(directory, path);
	await mkdir(dirname(full), { recursive: true });
	await writeFile(full, text);
	return full;
}

const statuses = (checks: readonly { readonly status: string }[]) => checks.map(({ status }) => status);

describe("cgroups", () => {
	const V1 = ["memory", "cpu", "cpuacct", "pids", "freezer", "devices"];
	const host = async (files: readonly string[], swapKib = 0, allowed: readonly WaivableLimit[] = []) => {
		for (const file of files) await write(`cgroup/${file}`, file === "cgroup.controllers" ? "cpuset cpu io memory pids\n" : "");
		const meminfo = await write("meminfo", `MemTotal: 1 kB\nSwapTotal:   ${swapKib} kB\n`);
		return checkCgroups(allowed, { cgroups: join(directory, "cgroup"), meminfo });
	};
	const procs = (names: readonly string[]) => names.map((name) => `${name}/cgroup.procs`);

	test("v1, v2 and a mix of them are told apart", async () => {
		expect((await host(procs(V1)))[0]).toMatchObject({ status: "ok", found: expect.stringContaining("cgroup v1") });
		expect((await host(procs(["unified"])))[0]).toMatchObject({ status: "ok", found: expect.stringContaining("cgroup hybrid") });
		expect((await host(["cgroup.controllers"]))[0]).toMatchObject({ status: "ok", found: expect.stringContaining("cgroup v2") });
	});

	test("what a container sees as the root is said to be that; processes from outside in it are in the way", async () => {
		await write("cgroup/cgroup.type", "domain\n");
		await write("cgroup/cgroup.procs", "1\n12\n");
		const checks = await host(["cgroup.controllers"]);
		expect(checks[0]).toMatchObject({ status: "ok", found: expect.stringContaining("inside a container") });
		await write("cgroup/cgroup.procs", "0\n12\n");
		expect((await host(["cgroup.controllers"]))[0]).toMatchObject({ status: "failed", mend: expect.stringContaining("pid namespace") });
	});

	test("a controller without which a limit wouldn't hold is missed by name", async () => {
		expect((await host(procs(["memory", "cpu"])))[0]).toMatchObject({
			status: "failed",
			found: expect.stringContaining("cpuacct, freezer, devices, pids"),
		});
	});

	test("none at all is a failure that says what to mount", async () => {
		expect(await host(["x"])).toMatchObject([{ status: "failed", mend: expect.stringContaining("mount -t cgroup2") }]);
	});

	test("swap that isn't counted would let a function past its memory", async () => {
		expect((await host(procs(V1), 1024))[1]).toMatchObject({ status: "failed", mend: expect.stringContaining("swapaccount=1") });
		expect((await host(["memory/memory.memsw.limit_in_bytes"], 1024))[1]?.status).toBe("warning");
		expect((await host([], 0))[1]?.status).toBe("ok");
	});

	test("what the operator does without is a warning for good, and a failure that names the flag before", async () => {
		const without = procs(V1.filter((name) => name !== "pids"));
		const [refused, swaps] = await host(without, 1024);
		expect(refused).toMatchObject({ status: "failed", mend: expect.stringContaining("--insecure-allow=pids") });
		expect(swaps).toMatchObject({ status: "failed", mend: expect.stringContaining("--insecure-allow=swap") });
		const waived = await host(without, 1024, ["pids", "swap"]);
		expect(statuses(waived)).toEqual(["warning", "warning"]);
		for (const { found } of waived) expect(found).toMatch(/^INSECURE: /);
	});
});

describe("what is enforced", () => {
	const checks: readonly Check[] = [
		ok("cgroups", "cgroup v2 with memory, cpu, pids."),
		ok("swap accounting", "This machine has no swap."),
		ok("namespaces", "They can be made."),
		ok("overlayfs", "It can be mounted."),
		ok("OCI runtime", "/usr/bin/crun, version 1.8.1."),
		ok("seccomp", "System calls can be filtered."),
	];
	const lacking = async (changed: Check) => {
		const rows = await whatIsEnforced(
			checks.map((check) => (check.name === changed.name ? changed : check)),
			"/nowhere",
		);
		return rows.filter(({ isEnforced }) => !isEnforced).map(({ limit }) => limit);
	};

	test("is said with what does it on this machine", async () => {
		const rows = await whatIsEnforced(checks, await write("lsm", "lockdown,capability,apparmor\n"));
		expect(rows.every(({ isEnforced }) => isEnforced)).toBe(true);
		const by = Object.fromEntries(rows.map((row) => [row.limit, row.by]));
		expect(by).toMatchObject({
			memory: expect.stringContaining("memory.max"),
			"mandatory access control": expect.stringMatching(/^apparmor/),
		});
	});

	test("by AppArmor is its profile's to say, where sandboxes are to have one", async () => {
		const profiles = await write("profiles", "berth-sandbox (enforce)\nlax (complain)\n");
		const held = async (check: Check) => (await whatIsEnforced([...checks, check], "/nowhere")).at(-1);
		expect(await held(await checkAppArmor("berth-sandbox", profiles))).toMatchObject({
			by: expect.stringContaining("profile berth-sandbox"),
			isEnforced: true,
		});
		const refused = await Promise.all([
			checkAppArmor("lax", profiles),
			checkAppArmor("berth", profiles),
			checkAppArmor("berth-sandbox", "/nowhere"),
		]);
		expect(refused).toMatchObject([
			{ status: "failed", found: expect.stringContaining("mode complain"), mend: expect.stringContaining("apparmor_parser -r") },
			{ status: "failed", found: expect.stringContaining("berth isn't loaded"), mend: expect.stringContaining("apparmor_parser -r") },
			{ status: "failed", found: expect.stringContaining("no AppArmor"), mend: expect.stringContaining("Leave it out") },
		]);
		for (const check of refused) expect((await held(check))?.isEnforced).toBe(false);
	});

	test("isn't what a check found missing, or what the operator does without", async () => {
		expect(await lacking(warning("seccomp", "INSECURE: no filter.", "x"))).toEqual(["system calls"]);
		expect(await lacking(warning("cgroups", "INSECURE: cgroup v1 lacks pids.", "x"))).toEqual(["tasks"]);
		expect(await lacking(failed("cgroups", "None.", "x"))).toEqual(["memory", "CPU", "tasks", "devices"]);
		expect(await lacking(warning("swap accounting", "Swap is counted per cgroup.", "x"))).toEqual([]);
	});
});

describe("the kernel", () => {
	test("is recent enough from 5.10 on", () => {
		expect(["4.19.0", "5.9.1", "5.10.0-8-amd64", "6.1.0"].map((kernel) => version(kernel).status)).toEqual([
			"warning",
			"warning",
			"ok",
			"ok",
		]);
	});

	test("needs a seccomp filter, and a processor that it has a profile for", async () => {
		expect((await seccomp([], await write("actions", "kill errno allow\n"))).status).toBe("ok");
		expect((await seccomp([], await write("actions", "kill allow\n"))).found).toContain("errno");
		expect((await seccomp([], "/nowhere")).mend).toContain("--insecure-allow=seccomp");
		expect(await seccomp(["seccomp"], "/nowhere")).toMatchObject({ status: "warning", found: expect.stringContaining("INSECURE") });
		expect([architecture("arm64").status, architecture("riscv64").status]).toEqual(["ok", "failed"]);
	});
});

test("that the records are lost is said, with what brings them back", () => {
	expect(recordChecks("lost")).toMatchObject([{ status: "warning", mend: expect.stringContaining("berth recover") }]);
	expect([recordChecks("whole"), recordChecks(null)]).toEqual([[], []]);
});

describe("programs", () => {
	test("an OCI runtime is named with its version, a missing one with what to install", async () => {
		await writeFile(join(directory, "myrun"), '#!/bin/sh\necho "myrun version 9.9"; echo "spec: 1.0.2"\n', { mode: 0o755 });
		expect(await runtime(join(directory, "myrun"))).toMatchObject({ status: "ok", found: expect.stringContaining("version 9.9") });
		expect(await runtime("/nowhere/runx")).toMatchObject({ status: "failed", mend: expect.stringContaining("BERTH_OCI_RUNTIME") });
		expect(await runtime("/bin/true")).toMatchObject({ status: "failed", found: expect.stringContaining("is no OCI runtime") });
	});

	test("is looked for by the settings that the running stack was started with", async () => {
		const dataDir = join(directory, "data");
		await mkdir(join(dataDir, "run"), { recursive: true });
		const env = { BERTH_DATA_DIR: dataDir, BERTH_ENGINE: "docker", BERTH_SUPERVISED: "1" };
		const gateway = spawn("sleep", ["60"], { env: { ...env, PATH: process.env["PATH"] } });
		try {
			const [supervisor, child] = await Promise.all([process.pid, gateway.pid as number].map(identityOf));
			const ours = loadSettings({ BERTH_DATA_DIR: dataDir });
			const state = { supervisor, phase: "ready", startedAt: "", children: [{ name: "gateway", ...child }] };
			await writeFile(ours.paths.supervisorFile, JSON.stringify(state));
			expect(await settingsInUse(ours)).toMatchObject({ settings: { engine: "docker", dataDir }, check: { status: "ok" } });
			await writeFile(ours.paths.supervisorFile, JSON.stringify({ ...state, children: [] }));
			expect(await settingsInUse(ours)).toMatchObject({ settings: { engine: "oci" }, check: { status: "warning" } });
			await rm(ours.paths.supervisorFile);
			expect(await settingsInUse(ours)).toEqual({ settings: ours });
		} finally {
			gateway.kill();
		}
	});

	test("Redis is recent enough from 7.0 on", () => {
		const versions = ["5.0.7", "6.0.16", "6.2.0", "7.0.15", "8.0.0", undefined];
		expect(versions.map((each) => redisVersion("r", each, "here").status)).toEqual(["failed", "failed", "failed", "ok", "ok", "failed"]);
	});
});

test("memory that isn't there can't be given to sandboxes", () => {
	const check = (budgetMiB: number, totalMiB: number) => checkMemory({ memoryBudgetBytes: budgetMiB * MIB }, totalMiB * MIB, 0).status;
	expect([check(128, 256), check(4096, 2048), check(256, 768), check(4096, 8192)]).toEqual(["failed", "failed", "warning", "ok"]);
});

test("a data directory whose parent is closed is a failure that names the parent", async () => {
	const settings = loadSettings({ BERTH_DATA_DIR: join(directory, "data") });
	expect((await checkDataDirectory(settings))[0]).toMatchObject({
		status: "failed",
		mend: expect.stringContaining(`chmod o+x ${directory}`),
	});
});

describe("a Redis server's settings", () => {
	const good = { "maxmemory-policy": "noeviction", maxmemory: "1000", appendonly: "yes", appendfsync: "always" };

	test("that keep what they must are fine", () => {
		expect(statuses(settingChecks("durable", good))).toEqual(["ok", "ok"]);
		expect(statuses(settingChecks("fast", { ...good, appendfsync: "everysec" }))).toEqual(["ok", "ok"]);
		expect(statuses(settingChecks("fast", { ...good, appendonly: "no" }))).toEqual(["ok", "ok"]);
	});

	test("that throw keys away when it is full are a failure for both", () => {
		for (const role of ["durable", "fast"] as const) {
			expect(settingChecks(role, { ...good, "maxmemory-policy": "allkeys-lru" })[0]?.status).toBe("failed");
		}
	});

	test("that may lose what was acknowledged say how much", () => {
		const durability = (settings: object) => settingChecks("durable", { ...good, ...settings })[1];
		expect(durability({ appendfsync: "everysec" })).toMatchObject({ status: "warning", found: expect.stringContaining("up to 2 s") });
		expect(durability({ appendfsync: "no" })).toMatchObject({ status: "warning", found: expect.stringContaining("30 s") });
		expect(durability({ appendonly: "no" })).toMatchObject({ status: "failed" });
	});

	test("with less than a quarter of its memory left warns of what comes of that", () => {
		const info = (used: number, max: number) =>
			`# Memory\r\nused_memory:${Math.round(used * MIB)}\r\nused_memory_human:1\r\nmaxmemory:${max * MIB}\r\n`;
		expect([roomChecks(info(74, 100), 0), roomChecks(info(900, 0), 9)]).toEqual([[], []]);
		const warned = (found: RegExp) => [{ status: "warning", found: expect.stringMatching(found) }];
		// So much is left while records give way, and what isn't settled has its reserve.
		expect(roomChecks(info(74.9, 100), 0)).toMatchObject(
			warned(/^75 MiB of its 100 are taken.*above 75 % the oldest records .*from 85 % on new/),
		);
		expect(roomChecks(info(66, 100), 10_240)).toMatchObject(warned(/^76 MiB of its 100 are taken, with what 10240 unsettled/));
		expect(roomChecks(info(76, 100), 10_240)).toMatchObject(warned(/^86 MiB .*and new background work is refused/));
	});

	test("that can't be read are a warning, and what to look for", () => {
		expect(settingChecks("durable", {})).toMatchObject([{ status: "warning", mend: expect.stringContaining("noeviction") }]);
	});
});

describe("the Redis protocol", () => {
	test("gives what is complete, whatever it is", () => {
		const bytes = Buffer.from("+OK\r\n-ERR no\r\n:5\r\n$-1\r\n$3\r\na\r\n\r\n*2\r\n$1\r\nx\r\n:1\r\n$5\r\nhel");
		expect(parseReplies(bytes)).toEqual(["OK", new RedisError("ERR no"), 5, null, "a\r\n", ["x", 1]]);
		expect(() => parseReplies(Buffer.from("HTTP/1.1 400\r\n"))).toThrow("doesn't speak");
	});

	test("reads a real server's settings, and its refusal of a wrong password", async () => {
		const socket = join(directory, "redis.sock");
		const options = ["--port", "0", "--unixsocket", socket, "--dir", directory, "--save", "", "--maxmemory", "64mb", "--appendonly", "no"];
		const server = spawn("redis-server", options, { stdio: "ignore" });
		const gone = new Promise((resolve) => server.once("exit", resolve));
		try {
			while (!(await answersPing(socket))) await pause(5);
			const url = `unix://${socket}`;
			expect(await askRedis(url, [["CONFIG", "GET", "appendonly"], ["NO-SUCH"]])).toEqual([["appendonly", "no"], expect.any(RedisError)]);
			const settings = loadSettings({ BERTH_DURABLE_REDIS_URL: url, BERTH_FAST_REDIS_URL: url });
			// It is both: what the durable one needs is asked of it, once.
			expect(statuses(await checkRedisServers(settings, false))).toEqual(["ok", "ok", "failed"]);
			await askRedis(url, [["CONFIG", "SET", "min-replicas-to-write", "1"]]);
			expect(await checkWrites("durable", url)).toMatchObject([
				{ status: "failed", found: expect.stringMatching(/NOREPLICAS.*Deploys/), mend: expect.stringContaining("min-replicas-to-write") },
			]);
			await askRedis(url, [["REPLICAOF", "127.0.0.1", "1"]]);
			const refused = { status: "failed", found: expect.stringContaining("It is a replica of 127.0.0.1:1, and writes are refused") };
			expect(await checkRedisServers(settings, false)).toContainEqual(expect.objectContaining(refused));
			expect(await checkWrites("fast", url)).toMatchObject([{ ...refused, mend: expect.stringContaining("BERTH_FAST_REDIS_URL") }]);
		} finally {
			server.kill();
			await gone;
		}
	});

	test("a server that isn't there is a failed check without its password", async () => {
		const settings = loadSettings({ BERTH_DURABLE_REDIS_URL: "redis://:hidden@127.0.0.1:1" });
		const [check] = await checkRedisServers(settings, false);
		expect(check).toMatchObject({ status: "failed", found: expect.stringContaining("redis://127.0.0.1:1") });
		expect(JSON.stringify(check)).not.toContain("hidden");
	});
});

describe("the engine", () => {
	const docker = (socket: string) => checkEngine({ engine: "docker", dockerSocket: join(directory, socket) });

	test("docker without an Engine is a failure that says how to get one, or how to do without", async () => {
		expect(await docker("none.sock")).toMatchObject({
			status: "failed",
			found: expect.stringContaining("There is no Docker Engine"),
			mend: expect.stringMatching(/systemctl start docker.*BERTH_DOCKER_SOCKET.*BERTH_ENGINE=oci/),
		});
	});

	test("docker at a socket of root's alone is one, as no worker is put into that group", async () => {
		await write("root.sock");
		expect(await docker("root.sock")).toMatchObject({ status: "failed", mend: expect.stringContaining("--group docker") });
	});

	test("oci needs no Engine", async () => {
		expect(await checkEngine({ engine: "oci", dockerSocket: join(directory, "none.sock") })).toMatchObject({ status: "ok" });
	});
});
