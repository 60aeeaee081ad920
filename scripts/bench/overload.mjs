import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@berth/client";
import { closedLoop, openLoop } from "@berth/loadtest";
import { ROOT } from "../setup/places.mjs";
import { Stack } from "../stack/stack.mjs";
import { BURNS, ranked, requestTo } from "./load.mjs";

const [FLOODED, BESIDE] = ["bench-flooded", "bench-beside"];
const FACTOR = 10;
/** As many as find what it sustains, and how often the other one is asked, per second. */
const CONNECTIONS = 8;
const BESIDE_PER_SECOND = 20;
/** The flood is under way by then, milliseconds. */
const BEGUN_MS = 1000;
/** As before: so much slower than the median of what was measured then, at most, so many times in a row. */
const NORMAL = 2;
const IN_A_ROW = 5;
/** Few places, and as many functions to take them: so all are taken. */
const PLACES = 8;
/**
 * What becomes of a function that is sent ten times what it sustains, and of another one meanwhile; and of several on a
 * node that has no place left.
 * @param {import("@berth/client").Client} client
 * @param {{url: string, key: string}} stack
 * @param {number} seconds how long each flood lasts
 * @param {AbortSignal} signal
 */
export async function overloadCosts(client, stack, seconds, signal) {
	const flood = await ranked(() => floodCosts(client, stack, seconds));
	return { ...flood, full: await fullCosts(flood.sustained, seconds, signal) };
}

async function floodCosts(client, stack, seconds) {
	const to = (name) => requestTo(stack, name);
	await using floor = await RefusingServer.start();
	try {
		await client.deploy(FLOODED, { source: BURNS });
		await client.deploy(BESIDE, { source: "export default () => 1;" });
		const alone = await closedLoop(to(FLOODED), { connections: 1, seconds: 2 });
		const { perSecond: sustained } = await closedLoop(to(FLOODED), { connections: CONNECTIONS, seconds: 5 });
		const [beforeFloor] = await Promise.all([
			closedLoop(to(FLOODED), { connections: CONNECTIONS, seconds: 5 }),
			openLoop({ ...to(FLOODED), url: floor.url }, { ratePerSecond: FACTOR * sustained, seconds: 6 }),
		]);
		const quiet = await openLoop(to(BESIDE), { ratePerSecond: BESIDE_PER_SECOND, seconds });
		const refusedMs = [];
		const onEnded = (ending, latencyMs) => ending.startsWith("http_") && refusedMs.push(latencyMs);
		const [flood, beside, health, done] = await Promise.all([
			openLoop(to(FLOODED), { ratePerSecond: FACTOR * sustained, seconds, onEnded }),
			openLoop(to(BESIDE), { ratePerSecond: BESIDE_PER_SECOND, seconds }),
			healthDuring(stack.url, seconds),
			doneDuring(client, seconds),
		]);
		// Without the other one's, which is asked as often as that. What was sent first waits the longest, so answers alone would say less.
		const goodput = done - BESIDE_PER_SECOND;
		const startedAt = performance.now();
		await untilNormal(client, alone.p50Ms * NORMAL);
		const drainMs = (flood.seconds - seconds) * 1000;
		return {
			sustained,
			goodput,
			floor: beforeFloor.perSecond,
			refused: { count: refusedMs.length, p50Ms: shareOf(refusedMs, 0.5), p99Ms: shareOf(refusedMs, 0.99) },
			failed: Object.entries(flood.errors).reduce((sum, [ending, count]) => sum + (ending.startsWith("http_") ? 0 : count), 0),
			errors: flood.errors,
			admittedMaxMs: flood.maxMs,
			quiet,
			beside: { ...beside, failed: Object.values(beside.errors).reduce((sum, count) => sum + count, 0) },
			health: { p99Ms: shareOf(health, 0.99) },
			normalMs: drainMs + performance.now() - startedAt,
		};
	} finally {
		for (const name of [FLOODED, BESIDE]) await client.remove(name).catch(() => undefined);
	}
}

/** Refusals of a node whose places are all taken. */
async function fullCosts(sustained, seconds, signal) {
	const stack = await Stack.start({ port: 0, env: { BERTH_LOG_LEVEL: "warn", BERTH_MAX_INFLIGHT: String(PLACES) }, signal });
	try {
		await using client = createClient({ url: stack.url, key: stack.key });
		const names = Array.from({ length: PLACES }, (_, n) => `${FLOODED}-${n}`);
		for (const name of names) await client.deploy(name, { source: BURNS });
		const [node, share] = [[], []];
		const onEnded = (ending, latencyMs) => ({ http_503: node, http_429: share })[ending]?.push(latencyMs);
		const load = { ratePerSecond: (FACTOR * sustained) / PLACES, seconds, onEnded };
		const floods = await ranked(() => Promise.all(names.map((name) => openLoop(requestTo(stack, name), load))));
		const figuresOf = (took) => ({ count: took.length, p99Ms: shareOf(took, 0.99) });
		return { node: figuresOf(node), share: figuresOf(share), errors: floods.map(({ errors }) => errors) };
	} finally {
		await stack.stop();
	}
}

/** Answers 429 to everything, as barely as Node can: what the refusing alone would cost. */
class RefusingServer {
	url;
	#process;

	static async start() {
		const server = new RefusingServer();
		server.#process = spawn(process.execPath, [join(ROOT, "scripts", "bench", "refusing-server.mjs")], {
			stdio: ["pipe", "pipe", "inherit"],
		});
		const [port] = await once(server.#process.stdout, "data");
		server.url = `http://127.0.0.1:${Number(port)}/`;
		return server;
	}

	async [Symbol.asyncDispose]() {
		const ended = once(this.#process, "exit");
		this.#process.stdin.end();
		await ended;
	}
}

/** How long it takes to be told that all is well, again and again. */
async function healthDuring(url, seconds) {
	const took = [];
	const until = performance.now() + seconds * 1000;
	while (performance.now() < until) {
		const startedAt = performance.now();
		const answer = await fetch(`${url}/readyz`);
		await answer.arrayBuffer();
		took.push(answer.ok ? performance.now() - startedAt : Number.POSITIVE_INFINITY);
		await pause(50);
	}
	return took;
}

/** Invocations that the node ends well, per second, while the flood is under way. */
async function doneDuring(client, seconds) {
	const succeeded = async () => (await client.stats()).reduce((sum, node) => sum + node.invocations.succeeded, 0);
	await pause(BEGUN_MS);
	const [from, startedAt] = [await succeeded(), performance.now()];
	await pause(seconds * 1000 - BEGUN_MS);
	return ((await succeeded()) - from) / ((performance.now() - startedAt) / 1000);
}

async function untilNormal(client, mostMs) {
	for (let inARow = 0; inARow < IN_A_ROW; ) {
		const startedAt = performance.now();
		const answer = await client.invokeRaw(FLOODED, { json: {} });
		inARow = answer.status === 200 && performance.now() - startedAt <= mostMs ? inARow + 1 : 0;
	}
}

function shareOf(values, share) {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
