import { against, atMost, ms, ofRate, rate, said } from "./figures.mjs";

/** The rows about a function that is sent ten times what it can do. */
export const OVERLOAD = [
	{
		what: "10 × the rate that a function of 20 ms of CPU sustains: what is refused, p99",
		target: "≤ 100 ms",
		measure: ({ overload: { refused } }) => ({
			...atMost(100, refused.p99Ms),
			ratio: `p50 ${ms(refused.p50Ms)}, ${refused.count} of them`,
		}),
	},
	{
		what: "the same: what succeeds, against what it sustains while a bare HTTP server beside it refuses as many",
		target: "≥ 0.9 ×",
		measure: ({ overload: { goodput, floor } }) => ofRate(goodput, "beside the floor", floor, (ratio) => ratio >= 0.9),
	},
	{
		what: "the same, against what it sustains when nothing else is sent",
		target: "said",
		measure: ({ overload: { goodput, sustained } }) => said(`${(goodput / sustained).toFixed(2)} × ${rate(sustained)}`),
	},
	{
		what: "as many, sent to 8 functions of a node with 8 places: 503 `node_full`, p99; 429 `too_busy`, p99",
		target: "≤ 100 ms",
		measure: ({ overload: { full } }) => ({
			measured: `${ms(full.node.p99Ms)}; ${ms(full.share.p99Ms)}`,
			ratio: `${full.node.count}; ${full.share.count} of them`,
			met: full.node.count > 0 && Math.max(full.node.p99Ms, full.share.p99Ms) <= 100,
		}),
	},
	{
		what: "the same: what is admitted and doesn't succeed",
		target: "0",
		measure: ({ overload: { failed } }) => ({ measured: String(failed), met: failed === 0 }),
	},
	{
		what: "the same: another function's warm p99 meanwhile, against quiet",
		target: "≤ 2 ×",
		measure: ({ overload: { beside, quiet } }) => ({
			...against(beside.p99Ms, "quiet", quiet.p99Ms, (ratio) => ratio <= 2),
			measured: `${ms(beside.p99Ms)}, p50 ${ms(beside.p50Ms)}, ${beside.failed} failed`,
		}),
	},
	{
		what: "the same: `GET /readyz` meanwhile, p99",
		target: "said",
		measure: ({ overload: { health } }) => said(ms(health.p99Ms)),
	},
	{
		what: "from its end until the function answers as before",
		target: "≤ 10 s",
		measure: ({ overload: { normalMs } }) => atMost(10_000, normalMs),
	},
];
