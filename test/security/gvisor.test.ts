import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { memoryLimitOf } from "../harness/cgroups.js";
import { eventually } from "../harness/eventually.js";
import { type Deployed, type DeployInput, deploy, fixture, refusalOf } from "../harness/functions.js";
import { sandboxProcessesOf } from "../harness/leftovers.js";
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

/** Starts a process of many threads and awaits its end, or leaves one that has unmapped all but a page of code, in which it waits. */
const STARTS = `
import ctypes, mmap, os, threading, time

# munmap(0, page), munmap(after, rest), and pause() for ever; by x64's numbers.
CODE = bytes.fromhex("b80b000000 0f05 4889d7 4c89c6 b80b000000 0f05 b822000000 0f05 ebf7")

def wait_in_a_page():
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    os.closerange(0, 256)
    ctypes.CFUNCTYPE(None, *[ctypes.c_ulong] * 5)(at)(0, at, at + 4096, 0, 0x7FFFFFFFF000 - at - 4096)

def use_threads():
    threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

def handler(event, context):
    child = os.fork()
    if child == 0:
        try: wait_in_a_page() if event["leaves"] else use_threads()
        finally: os._exit(0)
    if not event["leaves"]: return os.waitpid(child, 0)[1]
    # Its page, and one of the kernel's.
    while len(open(f"/proc/{child}/maps").readlines()) > 2: time.sleep(0.01)
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
		// It is given back when it rests, which is after its answer.
		await eventually(async () => {
			const one = (await stack.client.sandboxes()).find(({ id }) => id === first.sandbox);
			expect(one?.state).toBe("frozen");
		});
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

	it.skipIf(process.arch !== "x64")(
		"serves on when a process of its own has ended, and not when the smallest that there can be was left",
		async () => {
			const deployed = await user({ runtime: "python3", source: STARTS, concurrency: 1, memoryMiB: 160 });
			const sandboxThat = async (leaves: boolean) => {
				const { outcome, sandbox = "" } = await deployed.record(await deployed.invoke({ leaves }));
				expect(outcome).toBe("succeeded");
				return sandbox;
			};
			// Processes of the host's are gVisor's for a moment longer than its own: so one may be taken for left.
			const warm = await eventually(async () => {
				const sandbox = await sandboxThat(false);
				expect(await sandboxThat(false)).toBe(sandbox);
				return sandbox;
			});
			expect(await sandboxThat(true)).toBe(warm);
			await eventually(async () => expect(await sandboxThat(false)).not.toBe(warm));
		},
	);

	it("can't have what is given to a sandbox that runs", async () => {
		const asked: readonly Pick<DeployInput, "network" | "volumes">[] = [{ network: "internet" }, { volumes: [{ name: "data" }] }];
		for (const input of asked) {
			const { code, issues } = await refusalOf(user({ source: fixture("counts"), ...input }));
			expect([code, issues?.[0]?.field]).toEqual(["invalid_manifest", Object.keys(input)[0]]);
		}
	});
});
