import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseServerTiming } from "@berth/client";

/** Work that takes some 50 ms of a core, whatever else the machine does: counted, not timed. */
const BUSY =
	"export default () => { let x = 1; for (let at = 0; at < 32e6; at++) { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; } return x; };";
const QUICK_WORK = "export default (payload) => payload;";
const CLIENTS = 8;
/** Functions whose warm hits are counted, and how many invocations a second come to all of them. */
const FUNCTIONS = 20;
const PER_SECOND = 20;
const SEED = 20261126;
const SIZES = { joins: 5, seconds: 20, warmSeconds: 60 };
const QUICK_SIZES = { joins: 1, seconds: 4, warmSeconds: 8 };

/**
 * What more than one node is good for, on a cluster of its own: how soon one that joins serves, how often three have a function warm where
 * one has, and what a second worker adds, each on a core of its own.
 * @param {boolean} quick @param {AbortSignal} signal
 */
export async function nodeCosts(quick, signal) {
	const sizes = quick ? QUICK_SIZES : SIZES;
	const kept = await mkdtemp("/var/lib/berth-bench-bases-");
	process.env.TEST_BASES = join(kept, "bases");
	const { Cluster, Stack, takeKeptBases } = await import("./cluster.mjs");
	const cluster = await Cluster.start({
		gateways: 1,
		workers: 1,
		env: { BERTH_LOG_LEVEL: "warn" },
		workerEnv: () => labels("first=yes,trio=yes"),
	});
	const { client, url } = cluster.gateways[0];
	/** A worker outside of the cluster's own list: on some cores, and timed from its command on. */
	const worker = async (env, around = []) => {
		let beganMs = 0;
		const prepare = async (dataDir) => {
			await takeKeptBases(dataDir);
			beganMs = performance.now();
		};
		const stack = await Stack.start({ ...cluster.settings, BERTH_ROLES: "worker", BERTH_URL: url, ...env }, prepare, around);
		return { stack, beganMs };
	};
	const started = [];
	try {
		const joins = await joinTimes(client, worker, sizes.joins, signal);
		for (const core of [0, 1 % availableParallelism()])
			started.push((await worker(labels(`trio=yes,pinned=yes,core=c${core}`), ["taskset", "-c", String(core)])).stack);
		signal.throwIfAborted();
		const cpu = await throughputs(client, sizes.seconds);
		signal.throwIfAborted();
		const warm = {
			one: await warmRate(client, "one", { first: "yes" }, sizes.warmSeconds),
			three: await warmRate(client, "three", { trio: "yes" }, sizes.warmSeconds),
		};
		return { joins, cpu, warm, cores: availableParallelism() };
	} finally {
		for (const stack of started) await stack.stop();
		await cluster.stop();
		await rm(kept, { recursive: true, force: true });
	}
}

const labels = (text) => ({ BERTH_NODE_LABELS: text });

/** From the command that starts a worker, whose bases are there, to the end of the first invocation that it ran; milliseconds each. */
async function joinTimes(client, worker, count, signal) {
	const took = [];
	for (let at = 0; at < count; at++) {
		signal.throwIfAborted();
		const name = `bench-join-${at}`;
		await client.deploy(name, { source: QUICK_WORK, nodeSelector: { joins: `n${at}` } }, { wait: true });
		const served = untilServed(client, name, signal);
		const { stack, beganMs } = await worker(labels(`joins=n${at}`));
		took.push((await served) - beganMs);
		await stack.stop();
	}
	return took;
}

/** When it was answered first. */
async function untilServed(client, name, signal) {
	for (;;) {
		signal.throwIfAborted();
		try {
			await client.invoke(name, { json: 1 });
			return performance.now();
		} catch (error) {
			if (error.problem?.code !== "no_matching_node") throw error;
			await pause(5);
		}
	}
}

/** Invocations a second of what only computes, by one worker on one core and by two on one each, in turns. */
async function throughputs(client, seconds) {
	await client.deploy("bench-busy-one", { source: BUSY, nodeSelector: { core: "c0" } }, { wait: true });
	await client.deploy("bench-busy-two", { source: BUSY, nodeSelector: { pinned: "yes" } }, { wait: true });
	const rates = { one: [], two: [] };
	for (let turn = 0; turn < 2; turn++)
		for (const which of ["one", "two"]) {
			await perSecond(client, `bench-busy-${which}`, seconds / 4);
			rates[which].push(await perSecond(client, `bench-busy-${which}`, seconds / 2));
		}
	const mean = (all) => all.reduce((sum, each) => sum + each, 0) / all.length;
	return { onePerSecond: mean(rates.one), twoPerSecond: mean(rates.two), rates };
}

async function perSecond(client, name, seconds) {
	const untilMs = performance.now() + seconds * 1000;
	const beganMs = performance.now();
	let done = 0;
	const one = async () => {
		while (performance.now() < untilMs) {
			const { outcome } = await client.invoke(name, { json: 1 });
			if (outcome !== "succeeded") throw new Error(`an invocation ended as ${outcome}`);
			done++;
		}
	};
	await Promise.all(Array.from({ length: CLIENTS }, one));
	return (done * 1000) / (performance.now() - beganMs);
}

/** Of invocations at random times, of functions of which some are wanted far more than others, the part that found one warm. */
async function warmRate(client, which, nodeSelector, seconds) {
	const names = Array.from({ length: FUNCTIONS }, (_, at) => `bench-warm-${which}-${at}`);
	for (const name of names) await client.deploy(name, { source: QUICK_WORK, nodeSelector }, { wait: true });
	const random = randomFrom(SEED);
	const starts = {};
	const all = [];
	for (let count = 0; count < seconds * PER_SECOND; count++) {
		await pause((-Math.log(1 - random()) * 1000) / PER_SECOND);
		const name = names[Math.floor(FUNCTIONS * random() ** 2)];
		const counted = client.invoke(name, { json: 1 }).then(({ raw }) => {
			const kind = parseServerTiming(raw.headers["server-timing"]).start?.description ?? "unknown";
			starts[kind] = (starts[kind] ?? 0) + 1;
		});
		all.push(counted);
	}
	await Promise.all(all);
	return { rate: (starts.warm ?? 0) / all.length, starts };
}

/** mulberry32: the same arrivals each time. */
function randomFrom(seed) {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
