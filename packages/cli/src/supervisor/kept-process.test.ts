import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Child, type ChildSpec } from "./child.js";
import { type BackOff, KeptProcess } from "./kept-process.js";
import { isRunning, type ProcessIdentity } from "./process-identity.js";

const READY = "console.log(JSON.stringify({ ready: true, pid: process.pid }));";
const STAYS = `${READY} setInterval(() => {}, 1000);`;
const QUICK: BackOff = { firstMs: 4, mostMs: 16, healthyMs: 60_000 };

let logs: string;
beforeEach(async () => {
	logs = await mkdtemp(join(tmpdir(), "berth-kept-"));
});
afterEach(() => rm(logs, { recursive: true }));

function spec(program: string, changes: Partial<ChildSpec> = {}): ChildSpec {
	const standard = { name: "child", command: process.execPath, args: ["-e", program], env: {}, readiness: "line" } as const;
	return { ...standard, readyTimeoutMs: 15_000, stopGraceMs: 5000, logs, ...changes };
}

const soon = (look: () => void) => vi.waitFor(look, { timeout: 15_000, interval: 10 });
const patient = () => new AbortController().signal;

describe("a child", () => {
	test("is ready when it says so, and stops when it is told to", async () => {
		const child = await Child.start(spec(STAYS), patient());
		expect(child.ready["pid"]).toBe(child.identity.pid);
		expect(await child.stop()).toEqual({ code: null, signal: "SIGTERM" });
		expect(await isRunning(child.identity)).toBe(false);
	});

	test("that doesn't listen to SIGTERM is killed after its grace", async () => {
		const child = await Child.start(spec(`process.on("SIGTERM", () => {}); ${STAYS}`, { stopGraceMs: 50 }), patient());
		expect(await child.stop()).toEqual({ code: null, signal: "SIGKILL" });
	});

	test("that ends before it is ready is a StartError that says how, and its words are in the log", async () => {
		const started = Child.start(spec('console.error("no disk"); process.exit(3)'), patient());
		await expect(started).rejects.toThrow("child exited with code 3 before it was ready");
		expect(await readFile(join(logs, "child.log"), "utf8")).toBe("no disk\n");
	});

	test("that can't be started at all, or isn't ready in time, is one too", async () => {
		await expect(Child.start(spec("", { command: "/nowhere" }), patient())).rejects.toThrow(
			"child can't be started: spawn /nowhere ENOENT",
		);
		let identity: ProcessIdentity | undefined;
		const slow = Child.start(spec("setInterval(() => {}, 1000)", { readyTimeoutMs: 100 }), patient(), (found) => (identity = found));
		await expect(slow).rejects.toThrow("wasn't ready after 0.1 s");
		expect(await isRunning(identity as ProcessIdentity)).toBe(false);
	});

	test("whose start is given up is gone", async () => {
		const giveUp = new AbortController();
		let identity: ProcessIdentity | undefined;
		const started = Child.start(spec("setInterval(() => {}, 1000)"), giveUp.signal, (found) => {
			identity = found;
			giveUp.abort(new Error("never mind"));
		});
		await expect(started).rejects.toThrow("never mind");
		expect(await isRunning(identity as ProcessIdentity)).toBe(false);
	});

	test("that is to end is ready when it has ended well", async () => {
		await Child.start(spec("", { readiness: "exit" }), patient());
		await expect(Child.start(spec("process.exit(1)", { readiness: "exit" }), patient())).rejects.toThrow("child exited with code 1");
	});
});

/** A kept process, what it said, and a promise of each further thing that it says. */
function kept(specOf: () => ChildSpec) {
	const said: string[] = [];
	const waiting: { readonly wanted: (said: readonly string[]) => boolean; readonly resolve: () => void }[] = [];
	const say = (text: string) => {
		said.push(text);
		for (const { wanted, resolve } of waiting) if (wanted(said)) resolve();
	};
	/** How many there were at once, at each change. */
	const counts: number[] = [];
	const changed = () => counts.push(process.identities.length);
	const process: KeptProcess = new KeptProcess("child", specOf, { changed, ready: () => undefined, say }, QUICK);
	const until = (wanted: (said: readonly string[]) => boolean) =>
		new Promise<void>((resolve) => (wanted(said) ? resolve() : waiting.push({ wanted, resolve })));
	return { process, said, counts, until };
}

describe("a kept process", () => {
	test("that is killed is started again, as another process", async () => {
		const { process: keeper, said, until } = kept(() => spec(STAYS));
		await keeper.start(patient());
		const first = keeper.identity as ProcessIdentity;
		process.kill(first.pid, "SIGKILL");
		await until((lines) => lines.includes("child is up again"));
		expect(said).toEqual(["child was ended by SIGKILL; starting it again in 0.004 s", "child is up again"]);
		expect(keeper.identity?.pid).not.toBe(first.pid);
		await keeper.stop();
		expect(keeper.identity).toBeUndefined();
	});

	test("that ends again and again is started ever later, up to a most", async () => {
		let starts = 0;
		const { process: keeper, said, until } = kept(() => spec(starts++ === 0 ? READY : "process.exit(7)"));
		await keeper.start(patient());
		await until((lines) => lines.length >= 5);
		await keeper.stop();
		const waits = said.slice(0, 5).map((line) => Number(/in ([\d.]+) s$/.exec(line)?.[1]) * 1000);
		expect(waits).toEqual([4, 8, 16, 16, 16]);
		expect(said[1]).toContain("exited with code 7 before it was ready; trying again");
	});

	test("is asked what it is told anew at each start", async () => {
		const ports = [1, 2];
		const seen: string[] = [];
		const { process: keeper, until } = kept(() => {
			const port = String(ports.shift());
			seen.push(port);
			return spec(STAYS, { env: { PORT: port } });
		});
		await keeper.start(patient());
		process.kill((keeper.identity as ProcessIdentity).pid, "SIGKILL");
		await until((lines) => lines.includes("child is up again"));
		await keeper.stop();
		expect(seen).toEqual(["1", "2"]);
	});

	test("that fails its first start isn't tried again", async () => {
		let starts = 0;
		const { process: keeper, said } = kept(() => {
			starts++;
			return spec("process.exit(1)");
		});
		await expect(keeper.start(patient())).rejects.toThrow("exited with code 1");
		await keeper.stop();
		expect([starts, said]).toEqual([1, []]);
	});

	test("can be stopped while it waits to be started again", async () => {
		const { process: keeper, until } = kept(() => spec(READY));
		await keeper.start(patient());
		await until((lines) => lines.some((line) => line.includes("starting it again")));
		await keeper.stop();
		expect(keeper.identity).toBeUndefined();
	});
});

describe("a kept process that is to be started again", () => {
	/** What is told to end says so, and by which signal. */
	const SPEAKS = `for (const each of ["SIGTERM", "SIGUSR2"]) process.on(each, () => { console.error(each); process.exit(0); }); ${STAYS}`;
	const retired = (changes: Partial<ChildSpec> = {}) => spec(SPEAKS, { retireSignal: "SIGUSR2", ...changes });
	const log = () => readFile(join(logs, "child.log"), "utf8");

	test("ends as one that will be there again, and is there at once; what has to be done between is done between", async () => {
		const { process: keeper, said } = kept(() => retired());
		await keeper.start(patient());
		const first = keeper.identity as ProcessIdentity;
		let between: boolean | undefined;
		await keeper.restart(async () => {
			between = await isRunning(first);
		});
		expect([between, await isRunning(keeper.identity as ProcessIdentity), said, await log()]).toEqual([false, true, [], "SIGUSR2\n"]);
		process.kill((keeper.identity as ProcessIdentity).pid, "SIGKILL");
		await soon(() => expect(said).toContain("child is up again"));
		await keeper.stop();
	});

	test("has another one beside it before it ends; both are known, and the next one is kept as it was", async () => {
		const { process: keeper, said, counts } = kept(() => retired());
		await keeper.start(patient());
		const first = keeper.identity as ProcessIdentity;
		await keeper.replace(5000);
		expect(counts).toContain(2);
		const second = keeper.identity as ProcessIdentity;
		expect([second.pid === first.pid, await isRunning(first), await isRunning(second), said]).toEqual([false, false, true, []]);
		expect(keeper.identities).toEqual([second]);
		process.kill(second.pid, "SIGKILL");
		await soon(() => expect(said).toContain("child is up again"));
		await keeper.stop();
		expect(keeper.identities).toEqual([]);
	});

	test("goes on as it is where the next one doesn't get ready", async () => {
		let starts = 0;
		const { process: keeper, said } = kept(() => (starts++ === 0 ? retired() : spec("process.exit(5)")));
		await keeper.start(patient());
		const first = keeper.identity as ProcessIdentity;
		await expect(keeper.replace(5000)).rejects.toThrow("exited with code 5 before it was ready");
		expect([await isRunning(first), keeper.identities, said]).toEqual([true, [first], []]);
		await keeper.stop();
	});

	test("is tried again and again where it doesn't get ready after its end, and who asked is told", async () => {
		let starts = 0;
		const { process: keeper, until } = kept(() => (starts++ === 1 ? spec("process.exit(5)") : retired()));
		await keeper.start(patient());
		await expect(keeper.restart()).rejects.toThrow("exited with code 5 before it was ready");
		await until((lines) => lines.includes("child is up again"));
		await keeper.stop();
	});
});
