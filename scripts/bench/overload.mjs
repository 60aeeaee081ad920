import { setTimeout as pause } from "node:timers/promises";
import { closedLoop, openLoop } from "@berth/loadtest";

const [FLOODED, BESIDE] = ["bench-flooded", "bench-beside"];
/** 20 ms of CPU, however long that takes. */
const BURNS = `export default () => {
	const from = process.cpuUsage();
	for (;;) {
		const { user, system } = process.cpuUsage(from);
		if (user + system >= 20_000) return 1;
	}
};
`;
const FACTOR = 10;
/** As many as find what it sustains, and how often the other one is asked, per second. */
const CONNECTIONS = 8;
const BESIDE_PER_SECOND = 20;
/** The flood is under way by then, milliseconds. */
const BEGUN_MS = 1000;
/** As before: so much slower than the median of what was measured then, at most, so many times in a row. */
const NORMAL = 2;
const IN_A_ROW = 5;

/**
 * What becomes of a function that is sent ten times what it sustains, and of another one meanwhile.
 * @param {import("@berth/client").Client} client
 * @param {{url: string, key: string}} stack
 * @param {number} seconds how long the flood lasts
 */
export async function overloadCosts(client, stack, seconds) {
	const to = (name) => ({
		url: `${stack.url}/v1/functions/${name}/invocations`,
		headers: { authorization: `Bearer ${stack.key}`, "content-type": "application/json" },
		body: "{}",
	});
	try {
		await client.deploy(FLOODED, { source: BURNS });
		await client.deploy(BESIDE, { source: "export default () => 1;" });
		const alone = await closedLoop(to(FLOODED), { connections: 1, seconds: 2 });
		const { perSecond: sustained } = await closedLoop(to(FLOODED), { connections: CONNECTIONS, seconds: 5 });
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
