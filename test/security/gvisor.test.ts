import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { memoryLimitOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, type DeployInput, deploy, fixture, refusalOf } from "../harness/functions.js";
import { sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
afterAll(async () => {
	// Whoever has the stack next looks at sandboxes as an OCI runtime makes them.
	const warm = (await stack.client.sandboxes()).filter(({ state }) => state === "warm" || state === "frozen");
	for (const { id } of warm) await stack.client.command({ kind: "kill", sandbox: id });
});

/** Under gVisor errors are its own kernel's to choose: what counts is what happened to the host. */
const user = (input: DeployInput): Promise<Deployed> => deploy(stack, { ...input, runtimeClass: "runsc" });

interface View {
	readonly kernel: string;
	readonly pids: readonly string[];
	readonly root: string;
	readonly gateway: string;
	readonly n: number;
}

const LOOKS = `
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { release } from "node:os";
let n = 0;
const write = (path: string) => { try { writeFileSync(path, "x"); return "written"; } catch (error: any) { return error.code; } };
const reach = (port: number) => new Promise((resolve) => {
	const socket = connect(port, "127.0.0.1", () => resolve("reached"));
	socket.on("error", (error: any) => resolve(error.code));
});
export default async ({ port }: { port: number }) => ({
	kernel: release(),
	pids: readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)),
	root: write("/function/code/x"),
	gateway: await reach(port),
	n: ++n,
});
`;

const TRIES = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def errno_of(call, *arguments):
    ctypes.set_errno(0)
    return 0 if getattr(libc, call)(*arguments) == 0 else ctypes.get_errno()

def handler(event, context):
    return {
        "mount": errno_of("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "sethostname": errno_of("sethostname", b"taken", 5),
        "mknod": errno_of("mknod", b"/tmp/disk", 0o60666, os.makedev(8, 0)),
        "setuid": errno_of("setuid", 0),
        "settimeofday": errno_of("settimeofday", ctypes.byref((ctypes.c_long * 2)(1, 0)), None),
    }
`;

const FORKS = `
import { spawn } from "node:child_process";
export default async () => {
	for (let count = 0; count < 300; count++)
		await new Promise((resolve) => spawn(process.execPath, ["-e", "setTimeout(() => 0, 1e6)"]).once("spawn", resolve).once("error", resolve));
};
`;

/** What a host's process is, by its status. */
function statusOf(pid: string): { readonly uid: string; readonly caps: string; readonly users: string } {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
	return { uid: field("Uid"), caps: field("CapEff"), users: readFileSync(`/proc/${pid}/uid_map`, "utf8").trim() };
}

describe("a function with the runtime class runsc", () => {
	it("has a kernel of its own and nothing of the host in view, its processes are nobody's, and its sandbox is warm the next time", async () => {
		const deployed = await user({ source: LOOKS, memoryMiB: 160 });
		const port = Number(new URL(stack.url).port);
		const first = await deployed.record(await deployed.invoke({ port }));
		const view = await deployed.result<View>({ port });
		expect(view).toMatchObject({ kernel: "4.4.0", pids: ["1", "2"], n: 2 });
		expect([view.root, view.gateway]).not.toContain("written");
		expect(view.gateway).not.toBe("reached");
		expect(first).toMatchObject({ start: "boot", usage: { scratchBytes: 0 } });
		const [sandbox] = (await stack.client.sandboxes()).filter((each) => each.function === deployed.name);
		expect(sandbox).toMatchObject({ id: first.sandbox, invocations: 2 });
		expect(memoryLimitOf(stack.dataDir, first.sandbox ?? "")).toBe(160 * 1024 * 1024);
		const pids = sandboxProcessesOf(stack.dataDir, first.sandbox ?? "");
		// Its kernel, its file server, and what its own processes are to the host.
		expect(pids.length).toBeGreaterThan(2);
		for (const { uid, users } of pids.map(statusOf)) {
			expect(Number(uid)).toBeGreaterThan(1000);
			// Not the host's own user namespace, which maps everything.
			expect(users.split(/\s+/)[2]).not.toBe("4294967295");
		}
	});

	it("changes nothing of the host, whatever it asks its kernel for", async () => {
		const before = [hostname(), readFileSync("/proc/self/mounts", "utf8")];
		const deployed = await user({ runtime: "python3", source: TRIES });
		const errnos = await deployed.result<Readonly<Record<string, number>>>();
		expect(Object.entries(errnos).filter(([, errno]) => errno === 0)).toEqual([]);
		expect([hostname(), readFileSync("/proc/self/mounts", "utf8")]).toEqual(before);
		expect(Date.now()).toBeGreaterThan(Date.UTC(2020));
	});

	it("ends as any does that takes too much memory or time, or ends itself, and nothing of its sandbox is left", async () => {
		const ends: Readonly<Record<string, DeployInput>> = {
			out_of_memory: { source: "const all: any[] = []; export default () => { for (;;) all.push(Buffer.alloc(1 << 20, 1)); };" },
			timed_out: { source: "export default () => { for (;;); };", timeoutMs: 300 },
			crashed: { source: "export default () => process.exit(3);" },
		};
		const ended = Object.entries(ends).map(async ([outcome, input]) => {
			const deployed = await user(input);
			const record = await deployed.record(await deployed.invoke());
			expect(record.outcome).toBe(outcome);
			await eventually(() => expect(sandboxCgroupsOf(stack.dataDir)).not.toContain(record.sandbox));
		});
		await Promise.all(ended);
	});

	it("forks no further than its cgroup lets its kernel go, and takes nobody with it", async () => {
		const deployed = await user({ source: FORKS, memoryMiB: 512 });
		const record = await deployed.record(await deployed.invoke());
		expect(record.limitsHit).toContain("pids");
		await eventually(() => expect(sandboxCgroupsOf(stack.dataDir)).not.toContain(record.sandbox));
		expect(await (await deploy(stack, { source: fixture("counts") })).result()).toMatchObject({ invocations: 1 });
	});

	it("isn't kept where a process of its own runs on: later invocations have another sandbox", async () => {
		const source = `import { spawn } from "node:child_process"; export default ({ leave }: any) =>
			leave && new Promise((resolve) => spawn(process.execPath, ["-e", "setTimeout(() => 0, 1e6)"], { detached: true }).once("spawn", () => resolve(1)));`;
		const deployed = await user({ source, concurrency: 1 });
		const first = await deployed.record(await deployed.invoke({ leave: true }));
		expect(first.outcome).toBe("succeeded");
		await eventually(async () => expect((await deployed.record(await deployed.invoke({}))).sandbox).not.toBe(first.sandbox));
		await eventually(() => expect(sandboxCgroupsOf(stack.dataDir)).not.toContain(first.sandbox));
	});

	it("can't have what is given to a sandbox that runs", async () => {
		const asked: readonly Pick<DeployInput, "network" | "volumes">[] = [{ network: "internet" }, { volumes: [{ name: "data" }] }];
		for (const input of asked) {
			const { code, issues } = await refusalOf(user({ source: fixture("counts"), ...input }));
			expect([code, issues?.[0]?.field]).toEqual(["invalid_manifest", Object.keys(input)[0]]);
		}
	});
});
