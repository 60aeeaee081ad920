import { SetupFailure } from "./failure.mjs";

/**
 * A step: `plan` says what it would do (undefined: nothing, it is done already), `run` does it and may return what it
 * found. A step without a plan only looks.
 * @typedef {{title: string, plan?: () => string | undefined, run: (log: import("./setup-log.mjs").SetupLog) => Promise<unknown>}} Step
 */

const SHOW_EVERY_MS = 1000;

/**
 * Runs steps in order, each with its line of progress.
 * @param {readonly Step[]} steps
 * @param {import("./setup-log.mjs").SetupLog} log
 * @throws SetupFailure of the step that failed, after saying which
 */
export async function runSteps(steps, log) {
	for (const [index, step] of steps.entries()) {
		const line = new ProgressLine(`[${index + 1}/${steps.length}] ${step.title}`);
		try {
			await runStep(step, line, log);
		} catch (error) {
			line.end("failed");
			throw error;
		}
	}
}

async function runStep(step, line, log) {
	if (step.plan === undefined) {
		line.end(await step.run(log));
		return;
	}
	const plan = step.plan();
	if (plan === undefined) {
		line.end("already there");
		return;
	}
	line.begin(plan);
	await step.run(log);
	line.end("done");
}

/** Says what went wrong, where, and what to do. */
export function explain(error, log) {
	if (!(error instanceof SetupFailure)) throw error;
	const lines = [`\n${error.message}`];
	if (error.output.length > 0) lines.push("", ...error.output.map((line) => `  ${line}`), "");
	if (error.advice !== "") lines.push(error.advice);
	if (log.path !== undefined) lines.push(`Everything that was printed is in ${log.path}`);
	process.stderr.write(`${lines.join("\n")}\n`);
}

/** One step's line: on a terminal it counts the seconds, elsewhere it is two plain lines. */
class ProgressLine {
	#label;
	#beganAt;
	#timer;

	constructor(label) {
		this.#label = label;
	}

	begin(what) {
		this.#beganAt = performance.now();
		process.stdout.write(`${this.#label}: ${what}\n`);
		if (!process.stdout.isTTY) return;
		this.#timer = setInterval(() => process.stdout.write(`\r${this.#label} … ${this.#seconds()}`), SHOW_EVERY_MS);
	}

	end(how) {
		clearInterval(this.#timer);
		const took = this.#beganAt === undefined ? "" : ` (${this.#seconds()})`;
		process.stdout.write(`${this.#timer === undefined ? "" : "\r\x1b[K"}${this.#label} … ${how}${took}\n`);
	}

	#seconds() {
		return `${((performance.now() - this.#beganAt) / 1000).toFixed(1)} s`;
	}
}
