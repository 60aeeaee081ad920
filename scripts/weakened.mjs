// Takes each protection away in turn, in a copy of the project, and tries the attacks that it holds: `npm run test:weakened`.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { registerHooks } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WEAKENED_OPTIONS } from "./setup/command-lines.mjs";
import { ROOT } from "./setup/places.mjs";
import { stopSignal } from "./stack/stop-signal.mjs";
import { linesOf, pageOf } from "./weakened/report.mjs";
import { runTrial } from "./weakened/trial.mjs";

/** What came of each trial last: some of them can be run alone. */
const OUTCOMES = join(ROOT, "node_modules", ".berth", "weakened.json");
const PAGE = join(ROOT, "docs", "weakened.md");

/** Sources in TypeScript import each other by the names that they have when they are compiled. */
registerHooks({
	resolve(specifier, context, next) {
		const source = /^\..*\.js$/.test(specifier) ? new URL(specifier.replace(/\.js$/, ".ts"), context.parentURL) : undefined;
		return source !== undefined && existsSync(fileURLToPath(source)) ? next(source.href, context) : next(specifier, context);
	},
});

async function main() {
	const { values } = parseArgs({ options: WEAKENED_OPTIONS });
	const { planOf } = await import("../test/security/weakened/plan.ts");
	const { WEAKENINGS } = await import("../test/security/weakened/weakenings.ts");
	const plan = planOf();
	const names = plan.map(({ name }) => name);
	const unknown = (values.only ?? []).find((name) => !names.includes(name));
	if (unknown !== undefined) {
		process.stderr.write(`--only "${unknown}" is none of these:\n${names.join("\n")}\n`);
		return 2;
	}
	const trials = plan.filter(({ name }) => values.only?.includes(name) ?? true);
	const outcomes = [];
	const signal = stopSignal();
	const bases = `/var/lib/berth-test-bases-${process.pid}`;
	try {
		for (const trial of trials) {
			signal.throwIfAborted();
			const outcome = await runTrial(trial, bases, signal);
			outcomes.push(outcome);
			remember(outcome);
			process[values.json ? "stderr" : "stdout"].write(`${linesOf(outcome)}\n`);
		}
	} finally {
		await rm(bases, { recursive: true, force: true });
	}
	if (values.json) process.stdout.write(`${JSON.stringify(outcomes, null, "\t")}\n`);
	const wrong = outcomes.filter(({ isAsItShould }) => !isAsItShould);
	process.stderr.write(`\n${outcomes.length - wrong.length} of ${outcomes.length} as they should be\n`);
	if (values.write)
		writePage(
			plan,
			known(),
			Object.entries(WEAKENINGS).flatMap(([name, { reason }]) => (reason === undefined ? [] : [[name, reason]])),
		);
	return wrong.length === 0 ? 0 : 1;
}

function known() {
	return new Map(existsSync(OUTCOMES) ? JSON.parse(readFileSync(OUTCOMES, "utf8")) : []);
}

function remember(outcome) {
	mkdirSync(dirname(OUTCOMES), { recursive: true });
	writeFileSync(OUTCOMES, JSON.stringify([...known().set(outcome.name, outcome)]));
}

/** Of each when it was run last; one that hasn't been, as it is now, or wasn't as it should be, is told so. */
function writePage(plan, outcomes, kept) {
	const rowsOf = ({ falls, stands }) => JSON.stringify([falls, stands].map((aims) => aims.map(({ row }) => row)));
	const runs = plan.map((trial) => {
		const last = outcomes.get(trial.name);
		return last?.isAsItShould === true && rowsOf(last) === rowsOf(trial) ? { ...trial, seconds: last.seconds, at: last.at } : trial;
	});
	writeFileSync(PAGE, pageOf(runs, kept));
}

try {
	process.exitCode = await main();
} catch (error) {
	process.stderr.write(`\n${error.message === "stopped" ? "It was stopped." : error.stack}\n`);
	process.exitCode = 1;
}
