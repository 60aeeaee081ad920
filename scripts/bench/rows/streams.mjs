import { against, ms, ofRate, said } from "./figures.mjs";

/** The rows about streams, and clients that go away. */
export const STREAMS = [
	{
		what: "streamed answer: time to first byte over HTTP, p50, against a plain answer of the same handler, in turns",
		target: "≤ 1.5 ×",
		measure: ({ streams: { firstByte } }) => against(firstByte.streamedMs, "plain", firstByte.plainMs, (ratio) => ratio <= 1.5),
	},
	{
		what: "6 MiB: an answer that is streamed; a request that is held whole",
		target: "said",
		measure: ({ streams: { six } }) => said(`${ms(six.outMs)}; ${ms(six.inMs)}`),
	},
	{
		what: "an answer of 100 MiB: how much gateway and worker (resident) and sandbox (its cgroup) grow",
		target: "≤ 64 MiB each",
		measure: ({ streams: { large } }) => growth(large.out),
	},
	{
		what: "a request of 100 MiB, the same",
		target: "≤ 64 MiB each",
		measure: ({ streams: { large } }) => growth(large.into),
	},
	rightAfter("throughput right after 2,000 invocations whose clients went away, against right before", "flood"),
	rightAfter("the same of a function that doesn't look at its signal, and ends by itself", "ignoring"),
	rightAfter("the same of one that goes on, and is killed", "goingOn"),
	rightAfter("the same with a concurrency of 1: of one that ends by its signal", "single"),
	rightAfter("the same: of one that ends by itself, after 100 ms", "singleIgnoring"),
	{
		what: "the same: of one that goes on, and is killed when it has had its half second",
		target: "said",
		measure: ({ streams: { singleGoingOn } }) => said(`${singleGoingOn.after.toFixed(0)}/s of ${singleGoingOn.before.toFixed(0)}/s`),
	},
];

/** The row of a flood of clients that go away. */
function rightAfter(what, flood) {
	const measure = ({ streams: { [flood]: seen } }) => ofRate(seen.after, "before", seen.before, (ratio) => ratio >= 0.9);
	return { what, target: "≥ 0.9 ×", measure };
}

function growth({ totalMs, before, most }) {
	const grown = Object.keys(before).map((name) => most[name] - before[name]);
	return {
		measured: `${grown.map((mib) => mib.toFixed(0)).join(", ")} MiB`,
		ratio: `from ${Object.entries(before)
			.map(([name, mib]) => `${name} ${mib.toFixed(0)}`)
			.join(", ")}; ${ms(totalMs)}`,
		met: grown.every((mib) => mib <= 64),
	};
}
