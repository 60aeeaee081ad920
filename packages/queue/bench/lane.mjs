// What the background lane costs per job, in CPU of the dispatcher's process and of Redis: with as many functions known as
// are active, and with fifty times as many, in turns. Usage: node bench/lane.mjs [--quick]
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newId } from "@berth/contracts";
import { closeRedis, openRedis } from "@berth/redis";
import { openInvocationQueue, openInvocationSource } from "../dist/index.js";

const QUICK = process.argv.includes("--quick");
const [ACTIVE, KNOWN, JOBS, ROUNDS] = QUICK ? [50, 1000, 2000, 1] : [200, 10_000, 10_000, 3];
const SENDERS = 64;

const few = [];
const many = [];
for (let round = 0; round < ROUNDS; round++) {
	few.push(await measure(ACTIVE));
	many.push(await measure(KNOWN));
}
const median = (all) => all.map(({ cpuUs }) => cpuUs).sort((a, b) => a - b)[Math.floor(all.length / 2)];
const perSecond = (all) => all.map((one) => one.perSecond).sort((a, b) => a - b)[Math.floor(all.length / 2)];
process.stdout.write(
	`${JSON.stringify({
		active: ACTIVE,
		known: KNOWN,
		few: { cpuUs: median(few), perSecond: perSecond(few) },
		many: { cpuUs: median(many), perSecond: perSecond(many) },
	})}\n`,
);
process.exit(0);

async function measure(known) {
	const directory = await mkdtemp(join(tmpdir(), "lane-bench-"));
	const socket = join(directory, "s");
	const server = spawn(
		"redis-server",
		["--port", "0", "--unixsocket", socket, "--dir", directory, "--save", "", "--appendonly", "yes", "--appendfsync", "always"],
		{ stdio: "ignore" },
	);
	const url = `unix://${socket}`;
	const [redis] = await openRedis([{ url, use: "patient", name: "lane-bench" }]);
	const urls = { durableUrl: url, fastUrl: url };
	const gateway = await openInvocationQueue({ ...urls, gatewayId: newId("gw"), functionRecords: "records:" });
	let done = 0;
	let finish = () => undefined;
	const source = await openInvocationSource({ ...urls, nodeId: "bench", incarnation: "1" });
	const start = () =>
		source.start(
			async ({ attempt }) => ({
				attempt: {
					attempt,
					outcome: "succeeded",
					phases: { queueMs: 0, startMs: 0, initMs: 0, runMs: 0 },
					limitsHit: [],
					node: "bench",
					finishedAtMs: Date.now(),
				},
			}),
			1024,
			{ keep: async (request) => request, over: async () => void (++done === JOBS && finish()) },
		);
	try {
		// Known are those that had work once.
		for (let at = 0; at < known; at += 1000) {
			await redis.sadd("berth:lane:known", ...Array.from({ length: Math.min(1000, known - at) }, (_, n) => `default/f${at + n}`));
		}
		let left = JOBS;
		const send = async () => {
			while (left-- > 0) await gateway.enqueue(requestOf(`f${left % ACTIVE}`));
		};
		await Promise.all(Array.from({ length: SENDERS }, send));
		await pause(200);
		const all = new Promise((resolve) => {
			finish = resolve;
		});
		const [own, theirs, startedAt] = [process.cpuUsage(), await redisCpuUs(redis), performance.now()];
		await start();
		await all;
		const { user, system } = process.cpuUsage(own);
		const cpuUs = (user + system + (await redisCpuUs(redis)) - theirs) / JOBS;
		return { cpuUs, perSecond: (JOBS / (performance.now() - startedAt)) * 1000 };
	} finally {
		await source.close();
		await gateway.close();
		await closeRedis(redis);
		server.kill("SIGKILL");
		await rm(directory, { recursive: true, force: true });
	}
}

function requestOf(name) {
	return {
		id: newId("inv"),
		project: "default",
		function: name,
		version: 1,
		trigger: { kind: "event" },
		body: { text: "" },
		acceptedAtMs: Date.now(),
		timeoutMs: 30_000,
	};
}

async function redisCpuUs(redis) {
	const info = await redis.info("cpu");
	const of = (field) => Number(new RegExp(`${field}:([0-9.]+)`).exec(info)?.[1]) * 1e6;
	return of("used_cpu_user") + of("used_cpu_sys");
}
