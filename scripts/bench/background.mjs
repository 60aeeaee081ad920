import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { openLoop } from "@berth/loadtest";
import { ROOT } from "../setup/places.mjs";

const [HOG, LATE] = ["bench-hog", "bench-late"];
const SENDERS = 64;
const LATE_PER_SECOND = 20;
/** Between two background invocations of the other function. */
const EVERY_MS = 200;

/**
 * What a function's backlog costs another one: its background invocations, from accepted to begun, and its interactive ones.
 * @param {import("@berth/client").Client} client
 * @param {{url: string, key: string}} stack
 * @param {number} jobs that wait
 * @param {number} seconds how long is measured
 */
export async function backlogCosts(client, stack, jobs, seconds) {
	const to = (name) => ({
		url: `${stack.url}/v1/functions/${name}/invocations`,
		headers: { authorization: `Bearer ${stack.key}`, "content-type": "application/json" },
		body: "{}",
	});
	try {
		for (const name of [HOG, LATE]) await client.deploy(name, { source: "export default () => 1;" });
		await openLoop(to(LATE), { ratePerSecond: LATE_PER_SECOND, seconds: 1 });
		const quiet = await openLoop(to(LATE), { ratePerSecond: LATE_PER_SECOND, seconds });
		await client.pause(HOG);
		const startedAt = performance.now();
		let left = jobs;
		const send = async () => {
			while (left-- > 0) await client.invokeAsync(HOG, { json: {} });
		};
		await Promise.all(Array.from({ length: SENDERS }, send));
		const acceptedPerSecond = (jobs / (performance.now() - startedAt)) * 1000;
		const before = (await client.resume(HOG)).waiting;
		await pause(1000);
		const [from, fromMs] = [await waitingOf(client), performance.now()];
		const [beside, begunMs] = await Promise.all([
			openLoop(to(LATE), { ratePerSecond: LATE_PER_SECOND, seconds }),
			begunDuring(client, seconds),
		]);
		const [until, tookMs] = [await waitingOf(client), performance.now() - fromMs];
		begunMs.sort((a, b) => a - b);
		const share = (part) => begunMs[Math.min(begunMs.length - 1, Math.ceil(begunMs.length * part) - 1)];
		return {
			jobs: before,
			left: until,
			acceptedPerSecond,
			runPerSecond: ((from - until) / tookMs) * 1000,
			begun: { count: begunMs.length, p50Ms: share(0.5), p99Ms: share(0.99) },
			quiet,
			beside,
		};
	} finally {
		for (const name of [HOG, LATE]) await client.remove(name).catch(() => undefined);
	}
}

/** What functions that have nothing to do cost those that have: CPU of dispatcher and Redis per job. */
export async function knownCosts(quick) {
	const { stdout } = await promisify(execFile)(process.execPath, [
		join(ROOT, "packages/queue/bench/lane.mjs"),
		...(quick ? ["--quick"] : []),
	]);
	return JSON.parse(stdout);
}

async function waitingOf(client) {
	return (await client.get(HOG)).background.waiting;
}

/** How long background invocations of the other function wait until their attempt runs. */
async function begunDuring(client, seconds) {
	const waits = [];
	const until = performance.now() + seconds * 1000;
	while (performance.now() < until) {
		const { id } = await client.invokeAsync(LATE, { json: {} });
		await pause(EVERY_MS);
		waits.push(id);
	}
	await pause(EVERY_MS);
	return await Promise.all(
		waits.map(async (id) => {
			const { state, phases } = await client.invocation(id);
			return state === "settled" ? phases.queueMs + phases.startMs : Number.POSITIVE_INFINITY;
		}),
	);
}
