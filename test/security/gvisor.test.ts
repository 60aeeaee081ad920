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

	it("can't have what is given to a sandbox that runs", async () => {
		const asked: readonly Pick<DeployInput, "network" | "volumes">[] = [{ network: "internet" }, { volumes: [{ name: "data" }] }];
		for (const input of asked) {
			const { code, issues } = await refusalOf(user({ source: fixture("counts"), ...input }));
			expect([code, issues?.[0]?.field]).toEqual(["invalid_manifest", Object.keys(input)[0]]);
		}
	});
});
