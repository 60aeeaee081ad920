// A job's way from one process through Redis to another and back, on unix sockets:
//   floor  plain BullMQ: add, Worker, answer over pub/sub; one job per request, nothing recorded
//   ours   the interactive lane through the ports: coalesced, fenced, recorded
// Usage: node bench/two-process.mjs [--json] [--seconds n] [--in-flight n] [--only floor|ours]
// As a module: `measureBoth()`, `measureFloor()`, `measureOurs()`; each starts its own server and workers.

import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { newId } from "@berth/contracts";
import { closeRedis, connectRedis } from "@berth/redis";
import { Queue, Worker } from "bullmq";
import { openInvocationQueue, openInvocationSource } from "../dist/index.js";

const SELF = fileURLToPath(import.meta.url);
const NODE = "bench";
const DEFAULTS = { seconds: 4, inFlight: 32, serial: 4000 };
const ROUNDS = 8;

/** Plain BullMQ between two processes: `{serialP50Ms, serialP99Ms, inFlight, perSecond}`. */
export async function measureFloor(options = {}) {
	return (await measureAll({ floor: openFloor }, options)).floor;
}

/** The interactive lane between two processes, as `measureFloor`. */
export async function measureOurs(options = {}) {
	return (await measureAll({ ours: openOurs }, options)).ours;
}

/** Both, taking turns, so that what else the machine does hits both alike; with the ratios ours / floor. */
export async function measureBoth(options = {}) {
	const figures = await measureAll({ floor: openFloor, ours: openOurs }, options);
	const { floor, ours } = figures;
	return {
		...figures,
		ratios: { serialP50: round(ours.serialP50Ms / floor.serialP50Ms), throughput: round(ours.perSecond / floor.perSecond) },
	};
}

async function openFloor(url) {
	const redis = connectRedis({ url, use: "patient", name: "floor" });
	const replies = connectRedis({ url, use: "patient", name: "floor-replies" });
	const waiting = new Map();
	replies.on("message", (_, text) => {
		const { id } = JSON.parse(text);
		waiting.get(id)?.();
		waiting.delete(id);
	});
	await replies.subscribe("floor:replies");
	const queue = new Queue("floor", { connection: redis });
	const child = await startWorker("floor", url);
	let next = 0;
	const send = () =>
		new Promise((resolve, reject) => {
			const id = String(next++);
			waiting.set(id, resolve);
			queue.add("call", requestOf(id), { removeOnComplete: true, removeOnFail: true }).catch(reject);
		});
	const close = async () => {
		await stopWorker(child);
		await queue.close();
		await Promise.all([closeRedis(redis), closeRedis(replies)]);
	};
	return { send, close };
}

async function openOurs(url) {
	const queue = await openInvocationQueue({ durableUrl: url, fastUrl: url, gatewayId: newId("gw"), functionRecords: "records:" });
	const child = await startWorker("ours", url);
	const close = async () => {
		await stopWorker(child);
		await queue.close();
	};
	return { send: () => queue.run(NODE, requestOf(newId("inv"))), close };
}

function requestOf(id) {
	const acceptedAtMs = Date.now();
	return {
		id,
		project: "default",
		function: "hello",
		version: 1,
		trigger: { kind: "event", contentType: "application/json" },
		body: { text: '{"name":"world"}' },
		acceptedAtMs,
		expiresAtMs: acceptedAtMs + 30_000,
		timeoutMs: 30_000,
	};
}

function settlementOf(delivery) {
	return {
		attempt: {
			attempt: delivery.attempt,
			outcome: "succeeded",
			start: "warm",
			phases: { queueMs: delivery.queueMs, startMs: 0, initMs: 0, runMs: 0.1 },
			usage: { cpuMs: 1, peakMemoryBytes: 1, scratchBytes: 0 },
			limitsHit: [],
			node: NODE,
			sandbox: "sb_0123456789abcdef",
			finishedAtMs: Date.now(),
		},
		result: { body: { text: '{"hello":"world"}' }, contentType: "application/json" },
	};
}

async function measureAll(openers, { seconds = DEFAULTS.seconds, inFlight = DEFAULTS.inFlight, serial = DEFAULTS.serial }) {
	return await withServer(async (url) => {
		const kinds = [];
		try {
			for (const [name, open] of Object.entries(openers)) kinds.push({ name, times: [], rates: [], ...(await open(url)) });
			for (const { send } of kinds) await closedLoop(send, inFlight, 1);
			for (let round = 0; round < ROUNDS; round++) {
				for (const { send, times } of kinds) await timeOneByOne(send, times, Math.ceil(serial / ROUNDS));
			}
			for (let round = 0; round < ROUNDS; round++) {
				for (const { send, rates } of kinds) rates.push(await closedLoop(send, inFlight, seconds / ROUNDS));
			}
			return Object.fromEntries(kinds.map((kind) => [kind.name, figuresOf(kind, inFlight)]));
		} finally {
			for (const { close } of kinds) await close();
		}
	});
}

async function timeOneByOne(send, times, count) {
	for (let i = 0; i < count; i++) {
		const from = performance.now();
		await send();
		times.push(performance.now() - from);
	}
}

function figuresOf({ times, rates }, inFlight) {
	times.sort((a, b) => a - b);
	rates.sort((a, b) => a - b);
	const at = (share) => Math.round(times[Math.floor(times.length * share)] * 1000) / 1000;
	return { serialP50Ms: at(0.5), serialP99Ms: at(0.99), inFlight, perSecond: Math.round(rates[rates.length >> 1]) };
}

async function closedLoop(send, inFlight, seconds) {
	const from = performance.now();
	const until = from + seconds * 1000;
	let done = 0;
	const loop = async () => {
		while (performance.now() < until) {
			await send();
			done++;
		}
	};
	await Promise.all(Array.from({ length: inFlight }, loop));
	return (done * 1000) / (performance.now() - from);
}

async function withServer(work) {
	const directory = await mkdtemp(join(tmpdir(), "berth-bench-"));
	const socket = join(directory, "redis.sock");
	const args = [
		"--port",
		"0",
		"--unixsocket",
		socket,
		"--dir",
		directory,
		"--save",
		"",
		"--appendonly",
		"yes",
		"--appendfsync",
		"everysec",
	];
	const server = spawn("redis-server", args, { stdio: "ignore" });
	try {
		return await work(`unix://${socket}`);
	} finally {
		server.kill("SIGTERM");
		await once(server, "exit");
		await rm(directory, { recursive: true, force: true });
	}
}

async function startWorker(kind, url) {
	const child = fork(SELF, ["--worker", kind, "--url", url], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
	await once(child, "message");
	return child;
}

async function stopWorker(child) {
	child.send("stop");
	await once(child, "exit");
}

async function workFloor(url) {
	const redis = connectRedis({ url, use: "patient", name: "floor-worker" });
	const worker = new Worker(
		"floor",
		async (job) => {
			await redis.publish("floor:replies", JSON.stringify({ id: job.data.id, settlement: settlementOf({ attempt: 1, queueMs: 0 }) }));
		},
		{ connection: redis, concurrency: 64 },
	);
	await worker.waitUntilReady();
	return async () => {
		await worker.close();
		await closeRedis(redis);
	};
}

async function workOurs(url) {
	const source = await openInvocationSource({ durableUrl: url, fastUrl: url, nodeId: NODE });
	await source.start(async (delivery) => settlementOf(delivery), 1024);
	return async () => {
		await source.drain(1000);
		await source.close();
	};
}

async function main() {
	const { values } = parseArgs({
		options: {
			json: { type: "boolean", default: false },
			seconds: { type: "string" },
			"in-flight": { type: "string" },
			only: { type: "string" },
			worker: { type: "string" },
			url: { type: "string" },
		},
	});
	if (values.worker !== undefined) {
		const stop = await (values.worker === "floor" ? workFloor : workOurs)(values.url);
		process.once("message", async () => {
			await stop();
			process.disconnect();
		});
		process.send("ready");
		return;
	}
	const options = { seconds: Number(values.seconds ?? DEFAULTS.seconds), inFlight: Number(values["in-flight"] ?? DEFAULTS.inFlight) };
	const measured = {
		floor: async () => ({ floor: await measureFloor(options) }),
		ours: async () => ({ ours: await measureOurs(options) }),
	}[values.only];
	const figures = await (measured ?? (() => measureBoth(options)))();
	if (values.json) console.log(JSON.stringify(figures, null, "\t"));
	else printTable(figures);
}

function round(ratio) {
	return Math.round(ratio * 100) / 100;
}

function printTable({ floor, ours, ratios }) {
	const row = (name, cells) => console.log(name.padEnd(22) + cells.map((cell) => String(cell ?? "").padStart(12)).join(""));
	const both = [floor, ours].filter(Boolean);
	row("", [...(floor ? ["BullMQ"] : []), ...(ours ? ["Berth"] : []), ...(ratios ? ["ratio"] : [])]);
	row("serial p50, ms", [...both.map((one) => one.serialP50Ms), ratios?.serialP50]);
	row(
		"serial p99, ms",
		both.map((one) => one.serialP99Ms),
	);
	row(`per second, ${both[0].inFlight} in flight`, [...both.map((one) => one.perSecond), ratios?.throughput]);
}

if (process.argv[1] === SELF) await main();
