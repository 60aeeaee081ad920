import { against, ms, ofRate, rate, said } from "./figures.mjs";

/** The rows about a tenant that takes whatever it can get, and another one beside it. */
export const NEIGHBOURS = [
	{
		what: "another tenant burns CPU, memory, processes, disk, logs and queue at once: warm p99 at a fixed rate, against quiet",
		target: "≤ 2 ×",
		measure: ({ neighbours: { quiet, beside } }) => ({
			...against(beside.p99Ms, "quiet", quiet.p99Ms, (ratio) => ratio <= 2),
			measured: `${ms(beside.p99Ms)}, p50 ${ms(beside.p50Ms)}, ${beside.failed} failed`,
		}),
	},
	{
		what: "the same: throughput of 4 connections, against half of what they have alone",
		target: "≥ 0.8 ×",
		measure: ({ neighbours: { alone, shared } }) => ofRate(shared, "half of alone", alone / 2, (ratio) => ratio >= 0.8),
	},
	{
		what: "the same: what the other tenant did meanwhile, and how it ended",
		target: "said",
		measure: ({ neighbours: { hostile, spared } }) => {
			const kinds = Object.entries(hostile).map(([kind, { perSecond, ending }]) => `${kind} ${rate(perSecond)} ${ending}`);
			return said(`${kinds.join(", ")}; sandboxes left ${spared ? "a CPU" : "no CPU"}`);
		},
	},
];
