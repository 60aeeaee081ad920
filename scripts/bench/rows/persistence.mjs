import { against, ofRate } from "./figures.mjs";

const row = (mode, what, measure) => ({
	what: `durable Redis with \`appendfsync ${mode}\`: ${what}`,
	target: "said",
	measure: ({ persistence }) => measure(persistence[mode]),
});
const oneAfterTheOther = ({ p50Ms, p99Ms, setP50Ms }) => {
	const { measured, ratio } = against(p50Ms, "bare SET", setP50Ms);
	return { measured: `${measured}, p99 ${p99Ms.toFixed(1)} ms`, ratio };
};

/** The rows about what it costs that nothing accepted is lost. */
export const PERSISTENCE = ["always", "everysec"].flatMap((mode) => [
	row(mode, "background work accepted one after the other, p50, against bare SETs of 2 KiB to it", oneAfterTheOther),
	row(mode, "accepted 64 at a time, against bare SETs of 64 connections", ({ perSecond, setsPerSecond }) =>
		ofRate(perSecond, "bare SETs", setsPerSecond),
	),
]);
