// What the pool's keep-alive policy comes to, by its own code, beside a fixed time: `npm run simulate:pool [-- --seed 1 --functions 1000 --days 7]`.
import { parseArgs } from "node:util";
import { makeTraces, shareAt, simulateFixed, simulateHybrid } from "../packages/sandbox/dist/simulation/index.js";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const FIXED_MINUTES = [5, 10, 15, 20, 30, 60, 120, 240];
const HYBRID_MINUTES = [5, 10, 20, 60];
/** What everything is set against. */
const BESIDE_MINUTES = 10;

function wholeNumber(name, text, most) {
	const value = Number(text);
	if (Number.isInteger(value) && value >= 1 && value <= most) return value;
	throw new Error(`--${name} is a whole number from 1 to ${most}, not ${text}`);
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function rowOf(name, outcome, beside) {
	const mean = outcome.shares.reduce((sum, share) => sum + share, 0) / outcome.shares.length;
	const always = outcome.shares.filter((share) => share === 1).length / outcome.shares.length;
	const cells = [
		percent(outcome.cold / outcome.invocations),
		percent(mean),
		percent(shareAt(outcome, 0.5)),
		percent(shareAt(outcome, 0.75)),
		percent(always),
	];
	return `| ${name} | ${cells.join(" | ")} | ${(outcome.idleMs / beside.idleMs).toFixed(2)} |`;
}

try {
	const { values } = parseArgs({
		options: {
			seed: { type: "string", default: "1" },
			functions: { type: "string", default: "1000" },
			days: { type: "string", default: "7" },
		},
	});
	const seed = wholeNumber("seed", values.seed, 2 ** 32 - 1);
	const lengthMs = wholeNumber("days", values.days, 28) * DAY_MS;
	const traces = makeTraces(seed, wholeNumber("functions", values.functions, 10_000), lengthMs);
	const beside = simulateFixed(traces, lengthMs, BESIDE_MINUTES * MINUTE_MS);
	const fixed = FIXED_MINUTES.map((minutes) =>
		rowOf(`fixed, ${minutes} min`, simulateFixed(traces, lengthMs, minutes * MINUTE_MS), beside),
	);
	const hybrid = HYBRID_MINUTES.map((minutes) =>
		rowOf(`by pattern, ${minutes} min at most`, simulateHybrid(traces, lengthMs, minutes * MINUTE_MS), beside),
	);
	process.stdout.write(`${beside.invocations} invocations of ${beside.shares.length} functions in ${values.days} days (seed ${seed})

| kept | cold, of all invocations | of a function's, mean | median | third quartile | always cold | idle memory-time |
| --- | --- | --- | --- | --- | --- | --- |
${[...fixed, ...hybrid].join("\n")}
`);
} catch (error) {
	process.stderr.write(`${error.message}\n`);
	process.exitCode = 1;
}
