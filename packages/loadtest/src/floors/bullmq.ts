import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TransportFloor } from "../report/report.js";

/** Beside the package that BullMQ has its home in; a published loadtest hasn't got it. */
const PROGRAM = fileURLToPath(new URL("../../../queue/bench/two-process.mjs", import.meta.url));

interface Figures {
	readonly floor: { readonly serialP50Ms: number; readonly serialP99Ms: number; readonly perSecond: number };
}

/** Plain BullMQ between two processes on a Redis of its own. @throws Error when it isn't there */
export async function timeBullmq(options: {
	connections: number;
	seconds: number;
	signal?: AbortSignal | undefined;
}): Promise<TransportFloor> {
	if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} isn't there`);
	const args = [PROGRAM, "--json", "--only", "floor", "--seconds", String(options.seconds), "--in-flight", String(options.connections)];
	const { stdout } = await promisify(execFile)(process.execPath, args, options.signal === undefined ? {} : { signal: options.signal });
	const { floor } = JSON.parse(stdout) as Figures;
	return { p50Ms: floor.serialP50Ms, p99Ms: floor.serialP99Ms, perSecond: floor.perSecond };
}
