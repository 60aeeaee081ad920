import { cpus, release, totalmem } from "node:os";
import { type Client, createClient } from "@berth/client";
import { measureFloors } from "./floors/measure-floors.js";
import type { LoadRequest } from "./load/load-target.js";
import { measureLoad } from "./load/measure-load.js";
import type { BenchOptions, OnProgress } from "./options.js";
import { ratiosOf } from "./report/ratios.js";
import type { BenchReport } from "./report/report.js";
import { type BenchFunction, openFunction } from "./starts/bench-function.js";
import { measureStarts } from "./starts/measure-starts.js";

/**
 * Measures a function cold against warm, under load, and beside the floors of this machine. What it deployed is removed
 * and the pool put back on every path, also when the signal ends it.
 * @throws BenchError when the function doesn't succeed, ApiError, ConnectionError; the signal's reason
 */
export async function runBench(options: BenchOptions, progress: OnProgress = () => undefined): Promise<BenchReport> {
	const at = new Date().toISOString();
	await using client = createClient({ url: options.url, key: options.key });
	const ours = await measureOurs(client, options, progress);
	const floors = await measureFloors(options, progress);
	const { target, ...measured } = ours;
	return { schema: 1, at, target, machine: machine(), ...measured, floors, ratios: ratiosOf({ ...measured, floors }) };
}

type Ours = Pick<BenchReport, "target" | "starts" | "load">;

async function measureOurs(client: Client, options: BenchOptions, progress: OnProgress): Promise<Ours> {
	await using subject = await openFunction(client, options.subject, limitsOf(options));
	try {
		const starts = options.starts > 0 ? await measureStarts(client, subject, options, progress) : undefined;
		await client.command({ kind: "prewarm", floor: "default" });
		const load =
			options.load === undefined ? undefined : await measureLoad(requestOf(options, subject), options.load, progress, options.signal);
		const { title, distinctBy, sourceBytes } = subject;
		const target = { url: options.url, function: title, distinctBy, sourceBytes };
		return { target, ...(starts === undefined ? {} : { starts }), ...(load === undefined ? {} : { load }) };
	} finally {
		await client.command({ kind: "prewarm", floor: "default" });
	}
}

function limitsOf({ signal }: BenchOptions): { readonly signal?: AbortSignal } {
	return signal === undefined ? {} : { signal };
}

function requestOf({ url, key, payload }: BenchOptions, { name }: BenchFunction): LoadRequest {
	return {
		url: `${url.replace(/\/+$/, "")}/v1/functions/${name}/invocations`,
		headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
		body: JSON.stringify(payload),
	};
}

function machine(): BenchReport["machine"] {
	const all = cpus();
	return { cpu: all[0]?.model ?? "unknown", cores: all.length, memoryBytes: totalmem(), kernel: release(), node: process.version };
}
