import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createClient } from "@berth/client";
import { closedLoop, openLoop } from "@berth/loadtest";
import { BURNS, hostileName as nameOf, ranked, requestTo } from "./load.mjs";

const HOSTILE_CLIENT = fileURLToPath(new URL("hostile-client.mjs", import.meta.url));
const [QUIET, HOSTILE] = ["bench-quiet", "bench-hostile"];
const VICTIM = "bench-beside";
const PER_SECOND = 50;
const CONNECTIONS = 4;
const TIMEOUT_MS = 1000;
/** The attack is under way by then, and lasts as long as what is measured meanwhile with its warm-ups. */
const BEGUN_MS = 2000;
const LEAD_SECONDS = 5;
/** What each kind goes for; each runs until something stops it. */
const KINDS = {
	cpu: "export default () => { for (;;); };",
	memory: "const kept = []; export default () => { for (;;) kept.push(Buffer.alloc(1 << 20, 1)); };",
	processes: `import { spawn } from "node:child_process";
const bomb = "const{spawn}=require('child_process');setInterval(()=>{try{spawn(process.execPath,['-e',process.env.BOMB],{env:process.env}).on('error',()=>{})}catch{}},5)";
export default () => {
	setInterval(() => spawn(process.execPath, ["-e", bomb], { env: { BOMB: bomb }, detached: true, stdio: "ignore" }).on("error", () => undefined), 5);
	return new Promise(() => undefined);
};`,
	disk: `import { rmSync, writeFileSync } from "node:fs";
const piece = Buffer.alloc(1 << 20, 1);
export default () => {
	for (let n = 0; ; n++) {
		try { writeFileSync("/tmp/" + (n % 64), piece); } catch { for (let m = 0; m < 64; m++) rmSync("/tmp/" + m, { force: true }); }
	}
};`,
	logs: `import { writeSync } from "node:fs";
const lines = ("x".repeat(999) + "\\n").repeat(16);
export default () => { for (;;) try { writeSync(1, lines); } catch (error) { if (error.code !== "EAGAIN") throw error; } };`,
};

/**
 * What one tenant's invocations take, and how many it gets, while another one goes for everything at once.
 * @param {import("@berth/client").Client} client the operator's
 * @param {{url: string, key: string}} stack
 * @param {number} seconds how long each load lasts
 * @param {AbortSignal} signal
 */
export async function neighbourCosts(client, stack, seconds, signal) {
	const of = (project) => createClient({ url: stack.url, key: stack.key, project });
	await using quiet = of(QUIET);
	await using hostile = of(HOSTILE);
	const made = [];
	try {
		for (const project of [QUIET, HOSTILE]) await client.makeProject(project);
		const deploy = async (owner, name, deployment) => {
			await owner.deploy(name, deployment);
			made.push([owner, name]);
		};
		await deploy(quiet, VICTIM, { source: "export default () => 1;" });
		for (const [kind, source] of Object.entries(KINDS)) await deploy(hostile, nameOf(kind), { source, timeoutMs: TIMEOUT_MS });
		await deploy(hostile, nameOf("queue"), { source: BURNS });
		return await ranked(() => measure(client, stack, seconds, signal));
	} finally {
		for (const [owner, name] of made) await owner.remove(name).catch(() => undefined);
		for (const project of [QUIET, HOSTILE]) await client.removeProject(project).catch(() => undefined);
	}
}

async function measure(client, stack, seconds, signal) {
	const victim = requestTo(stack, VICTIM, { project: QUIET });
	const paced = () => openLoop(victim, { ratePerSecond: PER_SECOND, seconds, signal });
	const most = () => closedLoop(victim, { connections: CONNECTIONS, seconds, signal });
	const quiet = await paced();
	const alone = await most();
	const attack = attacked(
		{ stack: { url: stack.url, key: stack.key }, project: HOSTILE, kinds: Object.keys(KINDS), seconds: 2 * seconds + LEAD_SECONDS },
		signal,
	);
	await pause(BEGUN_MS);
	const beside = await paced();
	const spared = /^berth_cpu_spared\S* 1$/m.test(await client.metrics());
	const shared = await most();
	return {
		quiet,
		alone: alone.perSecond,
		beside: { ...beside, failed: failuresOf(beside) },
		shared: shared.perSecond,
		sharedErrors: shared.errors,
		hostile: await attack,
		spared,
	};
}

/** A client of its own, in a process of its own: what it does isn't this one's work, which measures. @returns what each kind came to, by name */
async function attacked(attack, signal) {
	// Of a session of its own, so that its rank counts for it alone.
	const client = spawn(process.execPath, [HOSTILE_CLIENT], { stdio: ["pipe", "pipe", "inherit"], detached: true, signal });
	client.stdin.end(JSON.stringify(attack));
	const [said, [code]] = await Promise.all([text(client.stdout), once(client, "close")]);
	if (code !== 0) throw new Error(`the hostile client ended with ${code}`);
	return JSON.parse(said);
}

function failuresOf({ errors }) {
	return Object.values(errors).reduce((sum, count) => sum + count, 0);
}
