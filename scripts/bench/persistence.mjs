import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const NAME = "bench-kept";
const MODES = ["always", "everysec"];
const AT_A_TIME = 64;
/** About what a job and its record add to the append-only file. */
const BYTES = 2048;

/**
 * What the durable Redis's `appendfsync` costs who asks for background work: accepted one after the other, and 64 at a time; each
 * beside bare SETs of 2 KiB to the same server. The modes are measured in turns, of a function that is paused, so that nothing else is written.
 * @param {import("@berth/client").Client} client
 * @param {{dataDir: string}} stack
 * @param {{rounds: number, alone: number, together: number}} size of one round: so many accepted in each way
 */
export async function persistenceCosts(client, stack, { rounds, alone, together }) {
	const socket = join(stack.dataDir, "run", "durable.sock");
	const measured = Object.fromEntries(MODES.map((mode) => [mode, { oneMs: [], perSecond: [], setMs: [], setsPerSecond: [] }]));
	try {
		await client.deploy(NAME, { source: "export default () => 1;" });
		await client.pause(NAME);
		await accept(client, together, AT_A_TIME);
		for (let round = 0; round < rounds; round++) {
			for (const mode of MODES) {
				await asked(socket, "CONFIG", "SET", "appendfsync", mode);
				const { oneMs, perSecond, setMs, setsPerSecond } = measured[mode];
				setMs.push(...(await bareSets(socket, alone, 1)).tookMs);
				oneMs.push(...(await accept(client, alone, 1)).tookMs);
				setsPerSecond.push((await bareSets(socket, together, AT_A_TIME)).perSecond);
				perSecond.push((await accept(client, together, AT_A_TIME)).perSecond);
			}
		}
	} finally {
		await asked(socket, "CONFIG", "SET", "appendfsync", "always");
		await client.remove(NAME).catch(() => undefined);
	}
	return Object.fromEntries(MODES.map((mode) => [mode, summaryOf(measured[mode])]));
}

const summaryOf = ({ oneMs, perSecond, setMs, setsPerSecond }) => ({
	p50Ms: quantile(oneMs, 0.5),
	p99Ms: quantile(oneMs, 0.99),
	perSecond: quantile(perSecond, 0.5),
	setP50Ms: quantile(setMs, 0.5),
	setsPerSecond: quantile(setsPerSecond, 0.5),
});

const quantile = (values, part) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];

async function accept(client, count, senders) {
	const tookMs = [];
	let left = count;
	const send = async () => {
		while (left-- > 0) {
			const began = performance.now();
			await client.invokeAsync(NAME, { json: {} });
			tookMs.push(performance.now() - began);
		}
	};
	const began = performance.now();
	await Promise.all(Array.from({ length: senders }, send));
	return { tookMs, perSecond: (count / (performance.now() - began)) * 1000 };
}

/** By Redis' own benchmark, which is no heavier than it has to be. */
async function bareSets(socket, count, clients) {
	const args = ["-s", socket, "-t", "set", "-n", String(count), "-c", String(clients), "-d", String(BYTES), "--csv"];
	const { stdout } = await promisify(execFile)("redis-benchmark", args);
	const [, perSecond, , , p50] = (stdout.trim().split("\n").at(-1) ?? "").split(",").map((field) => Number(field.replaceAll('"', "")));
	await asked(socket, "DEL", "key:__rand_int__");
	return { perSecond, tookMs: [p50] };
}

async function asked(socket, ...command) {
	await promisify(execFile)("redis-cli", ["-e", "-s", socket, ...command]);
}
