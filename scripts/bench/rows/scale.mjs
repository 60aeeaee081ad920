import { against, atMost, ms, said } from "./figures.mjs";

const COLD_STACK_MS = 10_000;
const both = ({ durable, fast }, part, digits) => `${durable[part].toFixed(digits)} durable, ${fast[part].toFixed(digits)} fast`;

/** The rows about many functions, and what an invocation costs the Redis servers. */
export const SCALE = [
	{
		what: "whole stack from cold, `berth up` until it takes invocations; the first start of all, which makes the base images",
		target: "≤ 10 s",
		measure: ({ coldStack: { againMs, firstMs } }) => ({ ...atMost(COLD_STACK_MS, againMs), ratio: `the first ${ms(firstMs)}` }),
	},
	{
		what: "warm invocation, one after the other, p50, with 10,000 deployed functions, against 10 before and after",
		target: "≤ 1.05 ×",
		measure: ({ scale: { manyMs, fewMs } }) => against(manyMs, "with 10", fewMs, (ratio) => ratio <= 1.05),
	},
	{
		what: "memory that each deployed function of one version takes of the durable Redis",
		target: "said",
		measure: ({ scale: { bytesEach } }) => said(`${(bytesEach / 1024).toFixed(2)} KiB`),
	},
	{
		what: "commands that Redis runs for a warm invocation, those of scripts and of what goes on anyway included; its CPU",
		target: "said",
		measure: ({ scale: { interactive } }) => said(`${both(interactive, "commands", 1)}; ${both(interactive, "cpuMicros", 0)} µs`),
	},
	{
		what: "the same, 32 at a time",
		target: "said",
		measure: ({ scale: { loaded } }) => said(`${both(loaded, "commands", 1)}; ${both(loaded, "cpuMicros", 0)} µs`),
	},
	{
		what: "the same in the background, accepted 64 at a time",
		target: "said",
		measure: ({ scale: { background } }) => said(`${both(background, "commands", 1)}; ${both(background, "cpuMicros", 0)} µs`),
	},
];
