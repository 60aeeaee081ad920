import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
let directory: string;
beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-cli-"));
});
afterAll(async () => {
	await rm(directory, { recursive: true, force: true });
});

/** Runs a command with --json, and reads what it printed. @throws Error when it failed */
async function told<T = Record<string, unknown>>(...args: readonly string[]): Promise<T> {
	const { code, stdout, stderr } = await stack.berth("--json", ...args);
	if (code !== 0) throw new Error(`berth ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
	return JSON.parse(stdout) as T;
}

async function sourceFile(source: string, name = "index.ts"): Promise<string> {
	const path = join(directory, name);
	await writeFile(path, source);
	return path;
}

describe("the command line", () => {
	it("deploys, invokes, lists, shows logs, and removes", async () => {
		const name = freshName("cli");
		const path = await sourceFile("export default (p: any) => { console.log('called with', p.n); return { double: p.n * 2 }; };");
		expect(await told("deploy", path, "--name", name, "--memory", "256", "--timeout", "5s", "--env", "A=1")).toMatchObject({
			version: { function: name, number: 1, state: "ready", manifest: { memoryMiB: 256, timeoutMs: 5000, env: { A: "1" } } },
		});
		const invoked = await stack.berth("invoke", name, "-d", '{"n":21}');
		expect([invoked.code, invoked.stdout.trim()]).toEqual([0, '{"double":42}']);
		expect(JSON.stringify(await told("list"))).toContain(name);
		const answer = await told<{ id: string }>("invoke", name, "-d", '{"n":2}');
		const logs = await stack.berth("logs", answer.id);
		expect(logs.code).toBe(0);
		expect(logs.stdout).toContain("called with 2");
		expect((await stack.berth("rm", name)).code).toBe(0);
		expect(JSON.stringify(await told("list"))).not.toContain(`"${name}"`);
	});

	it("writes a support bundle that has nothing of what functions, hooks and projects keep secret", async () => {
		const name = freshName("bundled");
		const secrets = ["environment", "secret", "printed"].map((of) => `${of}-value-${randomBytes(6).toString("hex")}`);
		const [environment = "", secret = "", printed = ""] = secrets;
		await stack.client.setSecret("BUNDLED", { value: secret });
		const source = await sourceFile(`export default () => { console.log("${printed}"); throw new Error("${printed}"); };`);
		await told("deploy", source, "--name", name, "--env", `BUNDLED_ENV=${environment}`);
		expect((await stack.berth("invoke", name)).code).toBe(1);
		const hook = await stack.client.makeHook(name, { name: "bundled", scheme: "github" });
		const callbacks = await stack.client.callbackSecret();
		const target = join(directory, "bundle.tgz");
		const { missing, files } = await told<{ missing: unknown[]; files: string[] }>("doctor", "--bundle", target);
		expect([missing, files]).toEqual([
			[],
			expect.arrayContaining(["manifest.json", "metrics.txt", "logs/worker.log", "redis-durable.json"]),
		]);
		const text = gunzipSync(await readFile(target)).toString("latin1");
		expect(text).toContain("berth_accepted_total");
		const token = hook.path.split("/").at(-1) ?? "";
		for (const each of [...secrets, hook.secret ?? "", callbacks.secret, stack.key, token]) {
			for (const form of ["utf8", "base64", "hex"] as const)
				expect(text).not.toContain(Buffer.from(each).toString(form).replace(/=+$/, ""));
		}
	});

	it("every quota of a project is set by a flag of its own, and shown beside what is used", async () => {
		const project = freshName("bounded");
		await stack.berth("project", "create", project);
		const flags = [
			"--functions=5",
			"--concurrency=6",
			"--requests-per-second=7",
			"--burst=8",
			"--image-mib=9",
			"--warm-mib=10",
			"--queued=unlimited",
		];
		const { code, stdout } = await stack.berth("--json", "project", "set", project, ...flags);
		const { quotas } = JSON.parse(stdout) as { quotas: Record<string, { limit: number | null }> };
		expect([code, Object.entries(quotas).map(([name, { limit }]) => [name, limit])]).toEqual([
			0,
			[
				["functions", 5],
				["concurrency", 6],
				["requestsPerSecond", 7],
				["burst", 8],
				["imageMiB", 9],
				["warmMiB", 10],
				["queued", null],
			],
		]);
		expect((await stack.berth("project", "show", project)).stdout).toMatch(/^image-mib +0 +9 +for it$/m);
		const back = await stack.berth("--json", "project", "set", project, "--concurrency", "default", "--queued=default");
		const after = (JSON.parse(back.stdout) as { quotas: Record<string, { own: boolean }> }).quotas;
		expect([back.code, after["concurrency"]?.own, after["queued"]?.own, after["functions"]?.own]).toEqual([0, false, false, true]);
		await stack.berth("project", "remove", project);
	});

	it("shows the sandboxes with what they hold, and kills one", async () => {
		const name = freshName("cli");
		await told("deploy", await sourceFile("export default () => 1;"), "--name", name);
		await told("invoke", name);
		const { sandboxes } = await told<{
			sandboxes: readonly { id: string; function?: string; state: string; memoryBytes: number; ageMs: number }[];
		}>("ps");
		const mine = sandboxes.find((each) => each.function === name);
		expect(mine).toMatchObject({ state: expect.stringMatching(/^(?:warm|frozen)$/), memoryBytes: expect.any(Number) });
		const table = await stack.berth("ps");
		expect(table.stdout).toContain(mine?.id);
		await told("kill", mine?.id ?? "");
		const left = await told<{ sandboxes: readonly { id: string; state: string }[] }>("ps");
		expect(left.sandboxes.filter(({ id, state }) => id === mine?.id && state !== "retiring")).toEqual([]);
	});

	it("says by its exit code whose fault a failure is, and prints a document with --json", async () => {
		const broken = await stack.berth("--json", "deploy", await sourceFile("export default (", "broken.ts"), "--name", freshName("cli"));
		expect(broken.code).toBe(1);
		expect(JSON.parse(broken.stdout)).toMatchObject({ error: { code: "build_failed" } });
		const text = await stack.berth("deploy", join(directory, "broken.ts"), "--name", freshName("cli"));
		expect(`${text.stdout}${text.stderr}`).toMatch(/broken\.ts:1:\d+/);
		const unknown = await stack.berth("--json", "invoke", "no-such-function");
		expect(unknown.code).not.toBe(0);
		expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { code: "function_not_found" } });
		const misused = await stack.berth("invoke");
		expect(misused.code).toBe(2);
		const noStack = await stack.berth("--url", "http://127.0.0.1:1", "--key", "x", "list");
		expect([noStack.code === 0, /doesn't answer/.test(noStack.stderr)]).toEqual([false, true]);
	});

	it("tells a failed invocation from one that succeeded", async () => {
		const name = freshName("cli");
		await told("deploy", await sourceFile("export default () => { throw new Error('on purpose'); };"), "--name", name);
		const failed = await stack.berth("invoke", name);
		expect(failed.code).not.toBe(0);
		expect(failed.stderr).toContain("on purpose");
	});

	it("draws stats again and again on a terminal until Ctrl-C, which is no failure", async () => {
		// util-linux's script gives it a terminal, and ends as it ends; a shell that stayed in between would die of the Ctrl-C.
		const command = `exec ${process.execPath} ${join(import.meta.dirname, "../../packages/cli/bin/berth.mjs")} --data ${stack.dataDir} stats --watch`;
		const terminal = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
		const ended = once(terminal, "exit");
		let drawn = "";
		terminal.stdout.setEncoding("utf8").on("data", (text) => (drawn += text));
		await eventually(() => expect(drawn.match(/sandboxes/g)?.length).toBeGreaterThan(1));
		terminal.stdin.write("\x03");
		expect((await ended)[0]).toBe(0);
	});

	it("ends a bench at Ctrl-C as interrupted, and takes away what it had deployed", async () => {
		const bench = stack.spawn("bench", "--quick", "--floors", "none");
		const ended = once(bench, "exit");
		let said = "";
		bench.stderr.setEncoding("utf8").on("data", (text) => (said += text));
		await eventually(() => expect(said).toContain("prewarmed starts"), 60_000);
		bench.kill("SIGINT");
		expect((await ended)[0]).toBe(130);
		expect(said).toMatch(/error: interrupted; /);
		expect(JSON.stringify(await told("list"))).not.toContain("bench-");
	});

	it("prints its help, and that of a command, as no failure", async () => {
		const helps = await Promise.all([stack.berth("--help"), stack.berth("deploy", "--help")]);
		expect(helps.map(({ code, stderr }) => [code, stderr])).toEqual([
			[0, ""],
			[0, ""],
		]);
		expect(helps.map(({ stdout }) => stdout)).toEqual([expect.stringMatching(/^ +deploy\b/m), expect.stringContaining("Example")]);
	});

	it("has a doctor who finds this machine fit, and says what it looked at", async () => {
		const report = await told<Record<string, unknown>>("doctor");
		const said = JSON.stringify(report).toLowerCase();
		for (const word of ["cgroup", "redis", "crun"]) expect(said).toContain(word);
	});

	it("refuses to start a second stack in the same data directory, and leaves the first alone", async () => {
		const second = await stack.berth("up", "--detach", "--json", "--port", "0");
		expect(second.code).not.toBe(0);
		expect((await stack.client.ready()).ready).toBe(true);
	});
});
