import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, freshName } from "../harness/functions.js";
import { sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { sharedStack } from "../harness/shared-stack.js";
import type { ProcessName } from "../harness/stack.js";

const stack = await sharedStack();

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

describe("a process of the stack", () => {
	it.each(["gateway", "worker", "redis-durable", "redis-fast"] as const)(
		"%s runs as the service user, without a capability",
		async (name) => {
			const status = await statusOf(name);
			const uids = field(status, "Uid").split("\t").map(Number);
			expect(new Set(uids).size).toBe(1);
			expect(uids[0]).toBeGreaterThan(0);
			expect(field(status, "CapEff")).toBe("0000000000000000");
			expect(field(status, "CapPrm")).toBe("0000000000000000");
		},
	);

	it("that is root is the launcher alone, and its socket is the service user's alone", async () => {
		expect(field(await statusOf("launcher"), "Uid")).toMatch(/^0\t/);
		expect(statSync(join(stack.dataDir, "run", "launcher.sock")).mode & 0o777).toBe(0o600);
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
	beforeAll(async () => {
		secret = freshName("secret");
		const deployed = await deploy(stack, { source: "export default () => process.env.TOKEN;", env: { TOKEN: secret } });
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

	it("has no secret in its command line or in the environment that it was started with", () => {
		const holding = processes().filter((pid) =>
			["cmdline", "environ"].some((name) => readFileSync(`/proc/${pid}/${name}`, "utf8").includes(secret)),
		);
		expect(holding).toEqual([]);
	});

	it("is in namespaces of its own, all seven kinds", () => {
		const [pid] = processes();
		const inode = (path: string) => statSync(path).ino;
		for (const kind of ["pid", "mnt", "ipc", "uts", "net", "cgroup", "user"]) {
			expect([kind, inode(`/proc/${pid}/ns/${kind}`)]).not.toEqual([kind, inode(`/proc/self/ns/${kind}`)]);
		}
	});
});
