import { beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { type Deployed, deploy, fixture } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const python = (name: string, more = {}) => deploy(stack, { runtime: "python3", source: fixture(name, "index.py"), ...more });

type Looked = Readonly<Record<string, string | number | readonly string[]>>;

interface View {
	readonly status: string;
	readonly limits: string;
	readonly uidMap: string;
	readonly env: Readonly<Record<string, string>>;
	readonly pids: readonly string[];
	readonly fds: Readonly<Record<string, string>>;
	readonly read: Looked;
	readonly list: Looked;
	readonly write: Looked;
	readonly uids: readonly [number, number, number, readonly number[]];
}

const UNWRITABLE = ["/x", "/usr/bin/python3", "/berth/python/__main__.py", "/function/code/index.py", "/function/x", "/run/x", "/dev/x"];
const SHUT = ["/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/timer_list", "/proc/1/environ"];
const ABSENT = ["/sys", "/root", "/home", "/var/lib", "/var/run/docker.sock", "/berth/builder", "/usr/lib/python3/dist-packages"];

describe("a function in Python", () => {
	let view: View;
	beforeAll(async () => {
		const deployed = await python("looks-around");
		view = await deployed.result<View>({ read: SHUT, list: ABSENT, write: UNWRITABLE });
	});

	it("is an ordinary user without capabilities, under a filter, in a user namespace whose ids are nobody's on the host", () => {
		expect(view.uids).toEqual([1000, 1000, 1000, []]);
		expect(Number(/^\s*0\s+(\d+)\s+65536/.exec(view.uidMap)?.[1])).toBeGreaterThanOrEqual(0x7000_0000);
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(view.status).toContain(`${set}:\t0000000000000000`);
		expect(view.status).toContain("NoNewPrivs:\t1");
		expect(view.status).toContain("Seccomp:\t2");
		expect(view.limits).toMatch(/^Max open files +512 +512/m);
		expect(view.limits).toMatch(/^Max core file size +0 +0/m);
	});

	it("has no descriptor but its standard ones and the agent's socket, sees no process but its own, and no variable of the host's", () => {
		expect(Object.values(view.fds).filter((target) => target.startsWith("socket:"))).toHaveLength(1);
		const named = Object.values(view.fds).filter((target) => target.startsWith("/"));
		for (const target of named) expect(target).toMatch(/^\/dev\/null$|^\/proc\/\d+\/fd$|\/sb_[0-9a-z]{26}\.(?:out|err)$/);
		expect(view.pids.length).toBeLessThanOrEqual(2);
		expect(Object.keys(view.env).filter((name) => !["HOME", "LANG", "PATH", "TMPDIR", "UV_THREADPOOL_SIZE"].includes(name))).toEqual([]);
	});

	it.each(UNWRITABLE)("can't write %s", (path) => {
		expect(view.write[path]).toMatch(/^E(?:ROFS|ACCES|PERM|NOENT|TXTBSY)$/);
	});

	it.each(SHUT)("reads nothing in %s", (path) => {
		expect(view.read[path]).toMatch(/^$|^E(?:ACCES|PERM|NOENT)$|^PATH=\/usr\/bin:\/bin\0/);
	});

	it.each(ABSENT)("has no %s", (path) => {
		expect(view.list[path]).toMatch(/^E(?:NOENT|NOTDIR|ACCES)$/);
	});
});

describe("a function in Python that writes to the agent's socket", () => {
	let victim: Deployed;
	let forger: Deployed;
	beforeAll(async () => {
		victim = await deploy(stack, { source: fixture("sleeps") });
		forger = await python("forges-frames");
	});

	it.each(["another's failure", "an unknown type", "another hello", "a question", "no JSON", "through the agent"])(
		"%s: settles nobody else's invocation, and its sandbox is destroyed",
		async (forge) => {
			const { id } = await victim.invoke({ ms: 1 });
			const running = victim.invoke({ ms: 500 });
			const forged = await forger.invoke({ forge, id });
			expect(forged.outcome).toBe("crashed");
			expect(forged.problem?.detail).toContain("ProtocolError");
			expect((await running).raw.body.toString()).toBe("slept");
			expect((await victim.record({ id })).outcome).toBe("succeeded");
			const { sandbox } = await forger.record(forged);
			await eventually(async () => expect((await stack.client.sandboxes()).map((each) => each.id)).not.toContain(sandbox));
			expect(await forger.result({})).toBe("honest");
		},
	);
});
