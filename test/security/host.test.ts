import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, freshName } from "../harness/functions.js";
import { cgroupNameOf, sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";
import type { ProcessName } from "../harness/stack.js";
import { capabilitiesOfUnit } from "../harness/systemd-unit.js";

const stack = await sharedStack();
const CLI = fileURLToPath(new URL("../../packages/cli/bin/berth.mjs", import.meta.url));

async function statusOf(name: ProcessName): Promise<string> {
	return readFileSync(`/proc/${await stack.pidOf(name)}/status`, "utf8");
}

function field(status: string, name: string): string {
	return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
}

/** Every file below a directory. */
function filesBelow(directory: string): readonly string[] {
	return readdirSync(directory, { withFileTypes: true, recursive: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));
}

/** Capabilities by their bits (linux/capability.h). */
const CAPABILITIES = ["chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"];
const LATER = { net_bind_service: 10, net_admin: 12, sys_chroot: 18, sys_ptrace: 19, sys_admin: 21, sys_resource: 24 } as const;
const bitsOf = (names: readonly (keyof typeof LATER | string)[]) =>
	names.reduce((bits, name) => bits | (1n << BigInt(LATER[name as keyof typeof LATER] ?? CAPABILITIES.indexOf(name))), 0n);
const capabilitiesIn = (status: string, set: string) => BigInt(`0x${field(status, `Cap${set}`)}`);

describe("a process of the stack", () => {
	it.each(["gateway", "worker", "redis-durable", "redis-fast"] as const)(
		"%s runs as the service user, without a capability, and can't gain one",
		async (name) => {
			const status = await statusOf(name);
			const uids = field(status, "Uid").split("\t").map(Number);
			expect(new Set(uids).size).toBe(1);
			expect(uids[0]).toBeGreaterThan(0);
			for (const set of ["Eff", "Prm", "Inh", "Amb"]) expect([set, capabilitiesIn(status, set)]).toEqual([set, 0n]);
			expect(field(status, "NoNewPrivs")).toBe("1");
			// Gateway and worker begin as root; none of it comes back, as nothing that they could start gives it.
			const begun = name.startsWith("redis") ? [] : ["setuid", "setgid", "dac_read_search", "net_bind_service"];
			expect(capabilitiesIn(status, "Bnd") & ~bitsOf(begun)).toBe(0n);
		},
	);

	it("that is root is the launcher alone, with the capabilities that it needs, and none that could be gained", async () => {
		const status = await statusOf("launcher");
		expect(field(status, "Uid")).toMatch(/^0\t/);
		expect(field(status, "NoNewPrivs")).toBe("1");
		const needed = bitsOf([
			"chown",
			"dac_override",
			"fowner",
			"kill",
			"setgid",
			"setuid",
			"net_admin",
			"sys_admin",
			"sys_chroot",
			"sys_ptrace",
			"sys_resource",
		]);
		const had = capabilitiesIn(readFileSync("/proc/self/status", "utf8"), "Bnd");
		for (const set of ["Eff", "Prm", "Bnd"]) expect([set, capabilitiesIn(status, set)]).toEqual([set, needed & had]);
		for (const set of ["Inh", "Amb"]) expect([set, capabilitiesIn(status, set)]).toEqual([set, 0n]);
	});

	it("that keeps the others running needs no more of root's than a service of ours has, in all that is tried here", async () => {
		const status = readFileSync(`/proc/${await stack.supervisorPid()}/status`, "utf8");
		expect(field(status, "NoNewPrivs")).toBe("1");
		expect(capabilitiesIn(status, "Bnd") & ~bitsOf(capabilitiesOfUnit())).toBe(0n);
	});
});

/** Tries, as a user of this host who is nobody to the stack, to connect to, read, list and write paths. */
const TRIES = `
	const fs = require("node:fs"), net = require("node:net");
	const tried = (act) => { try { act(); return "done"; } catch (error) { return error.code; } };
	const acts = { read: (path) => fs.readFileSync(path), list: (path) => fs.readdirSync(path), write: (path) => fs.writeFileSync(path + "/x", "x") };
	const connect = (path) => new Promise((resolve) => net.connect(path, () => resolve("done")).once("error", ({ code }) => resolve(code)));
	(async () => {
		const found = [];
		for (const [act, path] of JSON.parse(process.argv[1])) found.push([act, path, act === "connect" ? await connect(path) : tried(() => acts[act](path))]);
		console.log(JSON.stringify(found)); process.exit();
	})();`;
const STRANGER = "61234";

describe("another user of the host", () => {
	const asStranger = (tries: readonly (readonly [act: string, path: string])[]) => {
		const args = [
			"--reuid",
			STRANGER,
			"--regid",
			STRANGER,
			"--clear-groups",
			"--",
			"/usr/bin/env",
			"node",
			"-e",
			TRIES,
			JSON.stringify(tries),
		];
		return JSON.parse(execFileSync("setpriv", args, { encoding: "utf8", cwd: "/" })) as [string, string, string][];
	};
	const at = (...names: string[]) => join(stack.dataDir, ...names);

	it("connects to no socket of the stack's: Redis, launcher, gateway and worker among themselves", () => {
		const run = readdirSync(at("run"), { withFileTypes: true });
		const sockets = run.filter((entry) => entry.isSocket()).map(({ name }) => at("run", name));
		expect(sockets.map((path) => path.split("/").at(-1))).toEqual(expect.arrayContaining(["durable.sock", "fast.sock", "launcher.sock"]));
		const found = asStranger(sockets.map((path) => ["connect", path]));
		expect(found.filter(([, , end]) => end !== "EACCES")).toEqual([]);
	});

	it("reaches no agent's socket, not even by its name: nobody else enters where they are", () => {
		const found = asStranger([
			["list", at("run", "a")],
			["connect", at("run", "a", `sb_${"0".repeat(26)}.sock`)],
			["write", at("run", "a")],
		]);
		expect(found.map(([, , end]) => end)).toEqual(["EACCES", "EACCES", "EACCES"]);
	});

	it("reads no key, nothing that Redis, artifacts or logs hold, and no layer; lists and writes nothing", () => {
		const found = asStranger([
			...["admin.key", "secrets.key", "run/supervisor.lock"].map((name) => ["read", at(name)] as const),
			...[
				"",
				"redis",
				"redis/durable",
				"redis/fast",
				"artifacts",
				"logs",
				"run",
				"launcher",
				"launcher/layers",
				"launcher/volumes",
			].flatMap((name) => [["list", at(name)] as const, ["write", at(name)] as const]),
		]);
		expect(found.filter(([, , end]) => end !== "EACCES")).toEqual([]);
	});

	it("learns nothing of the processes' memory or environment", async () => {
		const pids = await Promise.all((["gateway", "worker", "launcher", "redis-durable"] as const).map((name) => stack.pidOf(name)));
		const found = asStranger(pids.flatMap((pid) => [["read", `/proc/${pid}/environ`] as const, ["list", `/proc/${pid}/fd`] as const]));
		expect(found.filter(([, , end]) => end !== "EACCES")).toEqual([]);
	});
});

describe("the data directory", () => {
	it("shows its first key to root alone", () => {
		const { mode, uid } = statSync(join(stack.dataDir, "admin.key"));
		expect([mode & 0o777, uid]).toEqual([0o600, 0]);
	});

	it("has no API key in what Redis, the logs or the artifacts hold: keys are stored hashed", () => {
		const places = ["redis", "logs", "artifacts/keys"].map((place) => join(stack.dataDir, place));
		const holding = places.flatMap(filesBelow).filter((path) => readFileSync(path).includes(stack.key));
		expect(holding).toEqual([]);
	});

	it("keeps unpacked layers where only root writes", () => {
		const directory = join(stack.dataDir, "launcher", "layers");
		for (const path of [join(stack.dataDir, "launcher"), directory, ...readdirSync(directory).map((name) => join(directory, name))]) {
			const { mode, uid } = statSync(path);
			expect([path, uid, mode & 0o022]).toEqual([path, 0, 0]);
		}
	});
});

describe("a sandbox as the host sees it", () => {
	let secret: string;
	let deployed: Deployed;
	beforeAll(async () => {
		secret = freshName("secret");
		deployed = await deploy(stack, { source: "export default () => process.env.TOKEN;", env: { TOKEN: secret } });
		expect(await deployed.result()).toBe(secret);
	});

	function processes(): readonly string[] {
		return sandboxCgroupsOf(stack.dataDir).flatMap((sandbox) => sandboxProcessesOf(stack.dataDir, sandbox));
	}

	it("has ids in a range of its own: no two sandboxes share a user, and none is a user of the host's", async () => {
		// One that is just being made has its runtime's.
		await eventually(() => {
			const bySandbox = sandboxCgroupsOf(stack.dataDir).map((sandbox) => {
				const pids = sandboxProcessesOf(stack.dataDir, sandbox);
				return new Set(pids.map((pid) => field(readFileSync(`/proc/${pid}/status`, "utf8"), "Uid").split("\t")[0]));
			});
			const used = bySandbox.filter((uids) => uids.size > 0);
			expect(used.length).toBeGreaterThan(2);
			for (const uids of used) expect(uids.size).toBe(1);
			const all = used.flatMap((uids) => [...uids].map(Number));
			expect(new Set(all).size).toBe(used.length);
			expect(Math.min(...all)).toBeGreaterThan(65_536);
		});
	});

	it.skipIf(!existsSync("/sys/fs/cgroup/unified/cgroup.procs"))(
		"leaves nothing where the launcher hides the hierarchy of v2 from its OCI runtime",
		async () => {
			const hidden = `/sys/fs/cgroup/unified/${cgroupNameOf(stack.dataDir)}`;
			const launcher = String(await stack.pidOf("launcher"));
			const [one] = await stack.client.sandboxes();
			await stack.client.command({ kind: "kill", sandbox: one?.id ?? "" });
			await eventually(() => {
				const { stdout } = spawnSync("nsenter", ["-t", launcher, "-m", "ls", hidden], { encoding: "utf8" });
				const there = stdout.split("\n").filter(Boolean);
				expect(there).not.toContain(one?.id);
				expect(there.length).toBeGreaterThan(0);
				expect(there.filter((name) => !sandboxCgroupsOf(stack.dataDir).includes(name))).toEqual([]);
			});
		},
	);

	it("has no secret in its command line or in the environment that it was started with", async () => {
		// One may end while it is looked at.
		const holding = await eventually(() =>
			processes().filter((pid) => ["cmdline", "environ"].some((name) => readFileSync(`/proc/${pid}/${name}`, "utf8").includes(secret))),
		);
		expect(holding).toEqual([]);
	});

	it("is in namespaces of its own, all seven kinds", async () => {
		// One that is there to stay: of the others any may just be made, or end.
		const { sandbox = "" } = await deployed.record(await deployed.invoke());
		const [pid] = sandboxProcessesOf(stack.dataDir, sandbox);
		const inode = (path: string) => statSync(path).ino;
		for (const kind of ["pid", "mnt", "ipc", "uts", "net", "cgroup", "user"]) {
			expect([kind, inode(`/proc/${pid}/ns/${kind}`)]).not.toEqual([kind, inode(`/proc/self/ns/${kind}`)]);
		}
	});
});

// On pure cgroup v2 a controller can't be taken from one process alone.
describe.skipIf(!existsSync("/sys/fs/cgroup/pids"))("a host that can't enforce a limit", () => {
	it("is refused, with what is missing, what that keeps from and how to do without, before anything is made", () => {
		const dataDir = `/var/lib/berth-test-refused-${process.pid}`;
		onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
		const start = 'umount /sys/fs/cgroup/pids && exec "$@"';
		const command = [process.execPath, CLI, "--data", dataDir, "up", "--detach", "--port", "0"];
		const { status, stderr } = spawnSync("unshare", ["--mount", "--propagation", "private", "--", "sh", "-c", start, "sh", ...command], {
			encoding: "utf8",
		});
		expect([status, existsSync(dataDir)]).toEqual([1, false]);
		expect(stderr).toMatch(/lacks pids: a function could .*--insecure-allow=pids/);
	});

	it("that hasn't loaded the profile of AppArmor that sandboxes are to have is refused, with what to do, before anything is made", () => {
		const dataDir = `/var/lib/berth-test-refused-${process.pid}`;
		onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
		const command = [CLI, "--data", dataDir, "up", "--detach", "--port", "0"];
		const env = { ...process.env, BERTH_APPARMOR_PROFILE: "berth-nobody-loads-this" };
		const { status, stderr } = spawnSync(process.execPath, command, { encoding: "utf8", env });
		expect([status, existsSync(dataDir)]).toEqual([1, false]);
		expect(stderr).toMatch(/berth-nobody-loads-this.*(?:no AppArmor.*Leave it out|isn't loaded.*apparmor_parser -r)/);
	});
});
