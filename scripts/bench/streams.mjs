import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const [NAME, SINGLE, GOES_ON] = ["bench-streams", "bench-streams-single", "bench-streams-goes-on"];
const MIB = 2 ** 20;
const LARGE_MIB = 100;
const LOOK_MS = 20;
const KIB_PER_MIB = 1024;
/** Of the load that is compared, and how long the aborted invocations would take, milliseconds. */
const CONNECTIONS = 16;
const SLEEP_MS = 100;
/** How long one goes on that is killed before, when its grace is over. */
const GOES_ON_MS = 20_000;
/** Clients go away so long after they asked, and up to so much longer, milliseconds. */
const [LEAVES_MS, LEAVES_LATER_MS] = [10, 30];
/** How long right after is. */
const AFTER_SECONDS = 1;
/** What one handler does: a plain answer, one in two pieces, many bytes, counting a body's, a sleep that ends with its signal, or doesn't. */
const SOURCE = `const piece = new Uint8Array(65536).fill(120);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
	async fetch(request) {
		const query = new URL(request.url).searchParams;
		if (query.has("sleep")) {
			const over = pause(Number(query.get("sleep")));
			const gone = new Promise((resolve) => request.signal.addEventListener("abort", resolve));
			await (query.has("ignores") ? over : Promise.race([over, gone]));
			return new Response("slept");
		}
		if (request.method === "POST") {
			let bytes = 0;
			for await (const chunk of request.body) bytes += chunk.length;
			return new Response(String(bytes));
		}
		if (query.has("pieces")) {
			let given = 0;
			return new Response(new ReadableStream({
				async pull(controller) {
					if (given++ === 1) await pause(5);
					controller.enqueue(piece.subarray(0, 50));
					if (given === 2) controller.close();
				},
			}));
		}
		let left = 16 * Number(query.get("mib") ?? 0);
		if (left === 0) return new Response(piece.slice(0, 100));
		return new Response(new ReadableStream({ pull: (controller) => (left-- > 0 ? controller.enqueue(piece) : controller.close()) }));
	},
};
`;

/**
 * What streams cost, and what clients that go away do.
 * @param {import("@berth/client").Client} client
 * @param {{url: string, key: string, dataDir: string}} stack
 * @param {{rounds: number, aborts: number, seconds: number}} options
 */
export async function streamCosts(client, stack, { rounds, aborts, seconds }) {
	const to = (query) => new URL(`/fn/default/${NAME}/${query}`, stack.url);
	try {
		await client.deploy(NAME, { source: SOURCE, public: true });
		const firstByte = { plain: [], streamed: [] };
		for (let round = -20; round < rounds; round++) {
			const plain = await exchange(to(""));
			const streamed = await exchange(to("?pieces"));
			if (round < 0) continue;
			firstByte.plain.push(plain.firstMs);
			firstByte.streamed.push(streamed.firstMs);
		}
		const six = { outMs: (await exchange(to("?mib=6"))).totalMs, inMs: (await exchange(to(""), 6 * MIB)).totalMs };
		const out = await watched(client, stack, () => exchange(to(`?mib=${LARGE_MIB}`)));
		const into = await watched(client, stack, () => exchange(to(""), LARGE_MIB * MIB));
		return {
			firstByte: { plainMs: median(firstByte.plain), streamedMs: median(firstByte.streamed), n: rounds },
			six,
			large: { mib: LARGE_MIB, out, into },
			...(await floods(client, stack, aborts, seconds)),
		};
	} finally {
		for (const name of [NAME, SINGLE, GOES_ON]) await client.remove(name).catch(() => undefined);
	}
}

/** Clients that go away, of one function and of one with a concurrency of 1, whose handlers heed their signal, end by themselves, or go on. */
async function floods(client, stack, aborts, seconds) {
	await client.deploy(GOES_ON, { source: SOURCE, public: true });
	await client.deploy(SINGLE, { source: SOURCE, public: true, concurrency: 1 });
	const [heeds, ends, goesOn] = [`?sleep=${SLEEP_MS}`, `?sleep=${SLEEP_MS}&ignores`, `?sleep=${GOES_ON_MS}&ignores`];
	const flood = async (name, query) => {
		await allQuiet(client);
		return await flooded((of) => new URL(`/fn/default/${name}/${of}`, stack.url), query, aborts, seconds);
	};
	return {
		flood: await flood(NAME, heeds),
		ignoring: await flood(NAME, ends),
		goingOn: await flood(GOES_ON, goesOn),
		single: await flood(SINGLE, heeds),
		singleIgnoring: await flood(SINGLE, ends),
		singleGoingOn: await flood(SINGLE, goesOn),
	};
}

/** Waits until nothing of the flood before runs, or is removed. */
async function allQuiet(client) {
	const isAtWork = ({ state }) => state !== "prewarmed" && state !== "warm" && state !== "frozen";
	while ((await client.sandboxes()).some(isAtWork)) await pause(LOOK_MS);
}

/** One request; with a body when it has bytes. @throws Error when its answer isn't 200 */
function exchange(url, bytes = 0) {
	const startedAt = performance.now();
	return new Promise((resolve, reject) => {
		const sent = request(url, bytes === 0 ? {} : { method: "POST", headers: { "content-length": bytes } }, (answer) => {
			let firstMs;
			let taken = 0;
			answer.on("data", (chunk) => {
				firstMs ??= performance.now() - startedAt;
				taken += chunk.length;
			});
			answer.on("error", reject);
			answer.on("end", () => {
				if (answer.statusCode !== 200) reject(new Error(`${url} was answered ${answer.statusCode}`));
				else resolve({ firstMs, totalMs: performance.now() - startedAt, bytes: taken });
			});
		});
		sent.on("error", reject);
		void pour(sent, bytes);
	});
}

async function pour(sent, bytes) {
	const piece = Buffer.alloc(64 * 1024, 120);
	for (let left = bytes; left > 0; left -= piece.length) {
		if (!sent.write(piece.subarray(0, Math.min(left, piece.length)))) await new Promise((resolve) => sent.once("drain", resolve));
	}
	sent.end();
}

/** How much gateway and worker (resident set) and the sandbox (its cgroup) grow while something goes on, MiB. */
async function watched(client, { dataDir }, work) {
	const { children } = JSON.parse(await readFile(join(dataDir, "run", "supervisor.json"), "utf8"));
	const pids = Object.fromEntries(children.map(({ name, pid }) => [name, pid]));
	const look = async () => ({
		gateway: await residentMib(pids.gateway),
		worker: await residentMib(pids.worker),
		sandbox: (await client.sandboxes()).find((sandbox) => sandbox.function === NAME)?.memoryBytes / MIB,
	});
	const before = await look();
	const most = { ...before };
	let isOver = false;
	const watching = (async () => {
		while (!isOver) {
			const now = await look();
			for (const name of Object.keys(most)) most[name] = Math.max(most[name], now[name]);
			await pause(LOOK_MS);
		}
	})();
	try {
		const { totalMs } = await work();
		return { totalMs, before, most };
	} finally {
		isOver = true;
		await watching;
	}
}

async function residentMib(pid) {
	return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))[1]) / KIB_PER_MIB;
}

/** Throughput right before and right after so many invocations whose clients go away in the middle. */
async function flooded(to, query, aborts, seconds) {
	await throughput(to(""), seconds);
	const before = await throughput(to(""), seconds);
	await Promise.all(
		Array.from({ length: CONNECTIONS }, async () => {
			for (let round = 0; round < aborts / CONNECTIONS; round++) await abandoned(to(query));
		}),
	);
	return { before, after: await throughput(to(""), AFTER_SECONDS), aborts };
}

/** An invocation whose client goes away while it runs, or waits. */
async function abandoned(url) {
	const asked = fetch(url, { signal: AbortSignal.timeout(LEAVES_MS + Math.floor(Math.random() * LEAVES_LATER_MS)) });
	await asked.then((answer) => answer.arrayBuffer()).catch(() => undefined);
}

async function throughput(url, seconds) {
	const startedAt = performance.now();
	const until = startedAt + seconds * 1000;
	let answered = 0;
	await Promise.all(
		Array.from({ length: CONNECTIONS }, async () => {
			while (performance.now() < until) {
				const answer = await fetch(url);
				await answer.arrayBuffer();
				if (answer.ok) answered++;
			}
		}),
	);
	return (answered * 1000) / (performance.now() - startedAt);
}

function median(values) {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
