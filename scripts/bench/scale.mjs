import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { FunctionRegistry } from "@berth/registry";

const NAMES = Array.from({ length: 10 }, (_, index) => `bench-scale-${index}`);
const AT_A_TIME = 64;
const CONNECTIONS = 32;
const LOOK_MS = 100;
const SOURCE = "export default (payload) => payload;";

/**
 * What 10,000 deployed functions cost where there were 10: of an invocation's time and of the durable Redis's memory; and what an
 * invocation costs each Redis. The others are records alone, of one function's image: none is built or invoked.
 * @param {import("@berth/client").Client} client
 * @param {{dataDir: string, url: string}} stack
 * @param {{functions: number, invocations: number, background: number}} size
 */
export async function scaleCosts(client, stack, { functions, invocations, background }) {
	const registry = await FunctionRegistry.open(`unix://${join(stack.dataDir, "run", "durable.sock")}`);
	try {
		for (const name of NAMES) await client.deploy(name, { source: SOURCE });
		const others = Array.from({ length: functions - NAMES.length }, (_, index) => `bench-record-${index}`);
		await p50(client, invocations);
		const before = await p50(client, invocations);
		const interactive = await redisCost(stack, invocations, () => p50(client, invocations));
		const loaded = await redisCost(stack, invocations * 2, () => atOnce(client, invocations * 2));
		const queued = await redisCost(stack, background, () => inBackground(client, background));
		const empty = await usedMemory(stack);
		const original = await registry.getVersion("default", NAMES[0], 1);
		await each(others, (name) => record(registry, name, original));
		const full = await usedMemory(stack);
		const many = await p50(client, invocations);
		await each(others, (name) => registry.deleteFunction("default", name));
		const after = await p50(client, invocations);
		return {
			functions,
			fewMs: (before + after) / 2,
			beforeMs: before,
			afterMs: after,
			manyMs: many,
			bytesEach: (full - empty) / others.length,
			interactive,
			loaded,
			background: queued,
		};
	} finally {
		await registry.close();
		await Promise.all(NAMES.map((name) => client.remove(name).catch(() => undefined)));
	}
}

async function record(registry, name, { manifest, source, image, build }) {
	const { version } = await registry.createVersion("default", name, manifest, source);
	await registry.setBuilding(version);
	await registry.endBuild(version, { state: "ready", image, build });
}

async function each(names, work) {
	for (let at = 0; at < names.length; at += AT_A_TIME) await Promise.all(names.slice(at, at + AT_A_TIME).map(work));
}

/** One after the other, of ten functions in turn. */
async function p50(client, count) {
	const took = [];
	for (let n = 0; n < count; n++) {
		const began = performance.now();
		const { outcome } = await client.invoke(NAMES[n % NAMES.length], { json: { n } });
		took.push(performance.now() - began);
		if (outcome !== "succeeded") throw new Error(`an invocation ended as ${outcome}`);
	}
	return took.sort((a, b) => a - b)[Math.floor(count / 2)];
}

async function atOnce(client, count) {
	const left = Array.from({ length: count }, (_, n) => n);
	const one = async () => {
		for (let n = left.pop(); n !== undefined; n = left.pop()) await client.invoke(NAMES[n % NAMES.length], { json: { n } });
	};
	await Promise.all(Array.from({ length: CONNECTIONS }, one));
}

async function inBackground(client, count) {
	for (let at = 0; at < count; at += AT_A_TIME) {
		await Promise.all(
			Array.from({ length: Math.min(AT_A_TIME, count - at) }, (_, n) => client.invokeAsync(NAMES[n % NAMES.length], { json: { n } })),
		);
	}
	while ((await inFlight(client)) > 0) await pause(LOOK_MS);
}

async function inFlight(client) {
	return Number(/^berth_in_flight\{lane="background"\} (\d+)/m.exec(await client.metrics())?.[1] ?? 0);
}

/** What each server does for one invocation: commands that it was sent, those of scripts, and its CPU. */
async function redisCost(stack, count, work) {
	const before = await figures(stack);
	const began = performance.now();
	await work();
	const seconds = (performance.now() - began) / 1000;
	const after = await figures(stack);
	const of = (server) => ({
		commands: (after[server].commands - before[server].commands) / count,
		cpuMicros: ((after[server].cpu - before[server].cpu) * 1e6) / count,
	});
	return { perSecond: count / seconds, durable: of("durable"), fast: of("fast") };
}

async function figures(stack) {
	const [durable, fast] = await Promise.all(["durable", "fast"].map((server) => infoOf(stack, server)));
	return { durable, fast };
}

async function infoOf(stack, server) {
	const { stdout } = await promisify(execFile)("redis-cli", ["-s", join(stack.dataDir, "run", `${server}.sock`), "INFO", "all"]);
	const number = (field) => Number(new RegExp(`^${field}:([\\d.]+)`, "m").exec(stdout)?.[1]);
	return {
		commands: number("total_commands_processed"),
		cpu: number("used_cpu_user") + number("used_cpu_sys"),
		memory: number("used_memory"),
	};
}

const usedMemory = async (stack) => (await infoOf(stack, "durable")).memory;
