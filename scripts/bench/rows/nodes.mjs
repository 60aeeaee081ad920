import { atMost, compared, ms, rate } from "./figures.mjs";

const JOIN_MS = 3000;
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** The rows about more than one node. */
export const NODES = [
	{
		what: "a node joins and serves: from the command that starts a worker, whose bases are kept, to its first answer, p50",
		target: "≤ 3 s",
		measure: ({ nodes: { joins } }) => ({
			...atMost(JOIN_MS, middle(joins)),
			ratio: `${ms(Math.max(...joins))} at most of ${joins.length}`,
		}),
	},
	{
		what: "a second worker, each on a core of its own: invocations that compute 50 ms, 8 at a time",
		target: "≥ 1.8 ×",
		measure: ({ nodes: { cpu } }) =>
			compared(rate(cpu.twoPerSecond), cpu.twoPerSecond, "one worker", cpu.onePerSecond, rate, (ratio) => ratio >= 1.8),
	},
	{
		what: "warm hits with 3 nodes: 20 functions, 20 invocations a second at random times",
		target: "within 3 % of 1 node",
		measure: ({ nodes: { warm } }) =>
			compared(percent(warm.three.rate), warm.three.rate, "one node", warm.one.rate, percent, (ratio) => ratio >= 0.97),
	},
];
