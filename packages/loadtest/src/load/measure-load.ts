import { setTimeout as pause } from "node:timers/promises";
import type { LoadOptions, OnProgress } from "../options.js";
import type { BenchReport } from "../report/report.js";
import { closedLoop } from "./closed-loop.js";
import type { LoadRequest } from "./load-target.js";
import { openLoop } from "./open-loop.js";

/** Between the loads: what the first set going comes to rest. */
const REST_MS = 500;
const LEAST_RATE = 1;
const LOADS = 3;

/** Closed loops of all connections and of one, then the open one at the rate that is asked for, or half of what the first reached. */
export async function measureLoad(
	request: LoadRequest,
	options: LoadOptions,
	progress: OnProgress,
	signal: AbortSignal | undefined,
): Promise<NonNullable<BenchReport["load"]>> {
	const { seconds, connections } = options;
	const rest = () => pause(REST_MS, undefined, signal === undefined ? {} : { signal });
	const stage = (name: string, done: number) => progress({ stage: name, done, total: LOADS });
	stage(`closed loop, ${connections} connections`, 0);
	const closed = await closedLoop(request, { connections, seconds, signal });
	await rest();
	stage("closed loop, 1 connection", 1);
	const one = await closedLoop(request, { connections: 1, seconds, signal });
	await rest();
	const ratePerSecond = options.ratePerSecond ?? Math.max(LEAST_RATE, Math.round(closed.perSecond / 2));
	stage(`open loop, ${ratePerSecond}/s`, 2);
	const open = await openLoop(request, { ratePerSecond, seconds, signal });
	return { one, closed: { ...closed, connections }, open: { ...open, ratePerSecond } };
}
