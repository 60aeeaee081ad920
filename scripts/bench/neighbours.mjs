import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@berth/client";
import { closedLoop, openLoop } from "@berth/loadtest";
import { BURNS, ranked, requestTo } from "./load.mjs";

const [QUIET, HOSTILE] = ["bench-quiet", "bench-hostile"];
const VICTIM = "bench-beside";
const PER_SECOND = 50;
/** Of the one beside, and of each kind of the hostile one's. */
const CONNECTIONS = 4;
const TIMEOUT_MS = 1000;
const QUEUED_PER_SECOND = 500;
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
		return await ranked(() => measure(stack, seconds, signal));
	} finally {
		for (const [owner, name] of made) await owner.remove(name).catch(() => undefined);
		for (const project of [QUIET, HOSTILE]) await client.removeProject(project).catch(() => undefined);
	}
}

async function measure(stack, seconds, signal) {
	const victim = requestTo(stack, VICTIM, { project: QUIET });
	const paced = () => openLoop(victim, { ratePerSecond: PER_SECOND, seconds, signal });
	const most = () => closedLoop(victim, { connections: CONNECTIONS, seconds, signal });
	const quiet = await paced();
	const alone = await most();
	const attack = Promise.all(attacksOf(stack, 2 * seconds + LEAD_SECONDS, signal));
	await pause(BEGUN_MS);
	const [beside, shared] = [await paced(), await most()];
	return {
		quiet,
		alone: alone.perSecond,
		beside: { ...beside, failed: failuresOf(beside) },
		shared: shared.perSecond,
		sharedErrors: shared.errors,
		hostile: Object.fromEntries(await attack),
	};
}

/** Everything at once, each kind over connections of its own, and a queue that grows. @returns what each did, by name */
function attacksOf(stack, seconds, signal) {
	const to = (kind, query) => requestTo(stack, nameOf(kind), { project: HOSTILE, query });
	const loads = Object.keys(KINDS).map((kind) => [kind, closedLoop(to(kind), { connections: CONNECTIONS, seconds, signal })]);
	const queued = openLoop(to("queue", "?mode=async"), { ratePerSecond: QUEUED_PER_SECOND, seconds, signal });
	return [...loads, ["queue", queued]].map(async ([kind, load]) => [kind, told(await load)]);
}

/** How many a second ended somehow, and how most of them did. */
function told({ answered, seconds, perSecond, errors }) {
	const [[ending] = ["none"]] = Object.entries({ ...errors, succeeded: perSecond * seconds }).sort(([, a], [, b]) => b - a);
	return { perSecond: answered / seconds, ending, errors };
}

function failuresOf({ errors }) {
	return Object.values(errors).reduce((sum, count) => sum + count, 0);
}

function nameOf(kind) {
	return `bench-${kind}`;
}
