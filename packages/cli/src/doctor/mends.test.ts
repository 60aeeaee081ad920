import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings } from "@berth/config";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityOf } from "../supervisor/process-identity.js";
import { writeSupervisorState } from "../supervisor/state-file.js";
import { mendOfUnready } from "./mends.js";
import { checkRedisServers } from "./redis-settings.js";

const directory = mkdtempSync(join(tmpdir(), "doctor-mends-"));
const OWN = loadSettings({ BERTH_DATA_DIR: directory });
const THEIRS = { ...OWN, embedded: { durable: true, fast: false }, fastRedisUrl: "redis://:pass@10.0.0.5:6380" };

/** As a gateway says it at /readyz. */
const SILENT = "writing to the fast Redis: the fast Redis doesn't answer (Command timed out); try again";
const RELISTING =
	"not all workers may be listed yet: the fast Redis came back without their leases (it lost what it had, or was away for longer than they last), and they list themselves there again within seconds; try again";
const DRAINED = "no node takes work: node_1 is drained, or stops. `berth drain --undo <node>` has one work again that an operator drained";

/** A server of the stack's own, as its supervisor has written it down. */
let server: ChildProcess;
beforeAll(async () => {
	const { fastRedis, run } = OWN.paths;
	for (const each of [fastRedis, run]) mkdirSync(each, { recursive: true });
	const options = ["--port", "0", "--unixsocket", join(run, "fast.sock"), "--dir", fastRedis, "--save", ""];
	server = spawn("redis-server", options, { stdio: "ignore" });
	await once(server, "spawn");
	const [supervisor, child] = await Promise.all([process.pid, server.pid as number].map(identityOf));
	if (supervisor === undefined || child === undefined) throw new Error("a process has no identity");
	const children = [{ name: "redis-fast", ...child }];
	await writeSupervisorState(OWN.paths, { supervisor, phase: "ready", startedAt: new Date().toISOString(), children });
});
afterAll(async () => {
	const ended = once(server, "exit");
	server.kill("SIGKILL");
	await ended;
	rmSync(directory, { recursive: true });
});

test.each([
	["a server of the stack's own that says nothing", SILENT, OWN, /^Its process, redis-fast \(pid \d+\), is there, .*redis-fast\.log/],
	[
		"one that has ended",
		SILENT.replaceAll("fast", "durable"),
		OWN,
		/^Its process, redis-durable, has ended, and the supervisor starts it again/,
	],
	[
		"a server of the operator's, without its password",
		SILENT,
		THEIRS,
		/^See to the server of BERTH_FAST_REDIS_URL \(redis:\/\/10\.0\.0\.5:6380\)/,
	],
	["a server of the stack's own that came back empty", RELISTING, OWN, /^Wait 10 s: .*\. What ended that Redis, logs\/redis-fast\.log/],
	[
		"one of the operator's that did",
		RELISTING,
		THEIRS,
		/^Wait 10 s: .*\. See why the server of BERTH_FAST_REDIS_URL \(redis:\/\/10\.0\.0\.5:6380\) lost/,
	],
	["nodes that are drained", DRAINED, OWN, /^One that stops is back when `berth up` on its machine has started it\.$/],
	["what the supervisor starts again", "no worker is registered", OWN, /^Read the logs in the data directory/],
])("what helps against %s", async (_, detail, settings, said) => {
	expect(await mendOfUnready(detail, settings)).toMatch(said);
});

test("a server of the stack's own that a signal has stopped is told by its process and what has it go on, not by settings that nobody set", async () => {
	const ofFast = async () => (await checkRedisServers(OWN, true)).filter(({ name }) => name.startsWith("fast Redis"));
	await expect.poll(async () => (await ofFast()).map(({ status }) => status)).not.toContain("failed");
	server.kill("SIGSTOP");
	try {
		const [silent, ...others] = await ofFast();
		const goesOn = new RegExp(`^Its process, redis-fast \\(pid ${server.pid}\\), was stopped by a signal.*: \`kill -CONT ${server.pid}\``);
		expect(silent).toMatchObject({
			status: "failed",
			found: expect.stringContaining("doesn't answer in 3 s"),
			mend: expect.stringMatching(goesOn),
		});
		expect(others).toEqual([]);
		expect(await mendOfUnready(SILENT, OWN)).toMatch(goesOn);
	} finally {
		server.kill("SIGCONT");
	}
});
