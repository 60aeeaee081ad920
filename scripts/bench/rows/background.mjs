import { against, atMost, ms, rate, said } from "./figures.mjs";

/** The rows about background work. */
export const BACKGROUND = [
	{
		what: "100,000 background invocations of one function waiting: another one's, from accepted to begun, p99",
		target: "≤ 1 s",
		measure: ({ backlog: { begun, jobs, left } }) => ({
			...atMost(1000, begun.p99Ms),
			ratio: `p50 ${ms(begun.p50Ms)}, ${begun.count} of them; ${jobs} waiting, in the end ${left}`,
		}),
	},
	{
		what: "the same: an interactive one's p50 meanwhile, against quiet",
		target: "≤ 1.5 ×",
		measure: ({ backlog: { beside, quiet } }) => against(beside.p50Ms, "quiet", quiet.p50Ms, (ratio) => ratio <= 1.5),
	},
	{
		what: "the same: accepted; run meanwhile",
		target: "said",
		measure: ({ backlog: { acceptedPerSecond, runPerSecond } }) => said(`${rate(acceptedPerSecond)}; ${rate(runPerSecond)}`),
	},
	{
		what: "10,000 functions known, 200 of them active: CPU of dispatcher and Redis per background job, against 200 known",
		target: "≤ 1.1 ×",
		measure: ({ known: { few, many } }) => ({
			measured: `${Math.round(many.cpuUs)} µs, ${rate(many.perSecond)}`,
			ratio: `${(many.cpuUs / few.cpuUs).toFixed(2)} × ${Math.round(few.cpuUs)} µs, ${rate(few.perSecond)}`,
			met: many.cpuUs / few.cpuUs <= 1.1,
		}),
	},
];
