import { readdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { eachOf, invokeWell, median, withFunctions } from "./functions.mjs";

const SIDE_BY_SIDE = 20;
const INVOCATIONS = 1000;
const AT_A_TIME = 4;
const LOOK_MS = 50;
const KIB_PER_MIB = 1024;

/** Median PSS of 20 prewarmed sandboxes, MiB. */
export async function prewarmedMemory(client) {
	await client.command({ kind: "prewarm", floor: SIDE_BY_SIDE });
	try {
		const sandboxes = (await client.sandboxes()).filter(({ state, kind }) => state === "prewarmed" && kind === "function");
		return await medianPss(sandboxes);
	} finally {
		await client.command({ kind: "prewarm", floor: "default" });
	}
}

/** Median PSS of 20 frozen sandboxes that have answered 1,000 times each, MiB. @param deployOf the n-th function's source */
export function frozenMemory(client, deployOf) {
	return withFunctions(client, SIDE_BY_SIDE, deployOf, async (names) => {
		await eachOf(names, AT_A_TIME, async (name) => {
			for (let i = 0; i < INVOCATIONS; i++) await invokeWell(client, name);
		});
		return await medianPss(await frozenOf(client, new Set(names)));
	});
}

/** The sandboxes of these functions, once all are frozen: the API has no event for it. */
async function frozenOf(client, names) {
	for (;;) {
		const sandboxes = (await client.sandboxes()).filter((sandbox) => names.has(sandbox.function));
		if (sandboxes.every(({ state }) => state === "frozen")) return sandboxes;
		await pause(LOOK_MS);
	}
}

/** Proportional set size of everything in each sandbox (proc(5), smaps_rollup): what is shared is shared out. */
async function medianPss(sandboxes) {
	const ids = new Set(sandboxes.map(({ id }) => id));
	const kib = new Map();
	for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
		const id = await sandboxOf(pid);
		if (ids.has(id)) kib.set(id, (kib.get(id) ?? 0) + (await pssKib(pid)));
	}
	return { mib: median([...kib.values()]) / KIB_PER_MIB, n: kib.size };
}

/** The sandbox whose cgroup a process is in. */
async function sandboxOf(pid) {
	const text = await readUnlessGone(`/proc/${pid}/cgroup`);
	return /\/berth-[0-9a-f]+\/(sb_[0-9a-z]+)/.exec(text)?.[1];
}

async function pssKib(pid) {
	const text = await readUnlessGone(`/proc/${pid}/smaps_rollup`);
	return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
}

async function readUnlessGone(path) {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (error.code === "ENOENT" || error.code === "ESRCH") return "";
		throw error;
	}
}
