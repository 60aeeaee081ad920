import { spawn } from "node:child_process";
import type { ProgramFloor } from "../report/report.js";
import { durationsOf, rounded } from "../statistics.js";

/** A program and its arguments; the arguments may depend on the run. */
export interface Program {
	readonly command: string;
	readonly args: (run: number) => readonly string[];
}

const REHEARSALS = 2;
const AT_A_TIME = 4;

/** Runs a program `runs` times one after the other, then as often four at a time. @throws Error when a run fails */
export async function timeProgram(program: Program, runs: number, signal?: AbortSignal): Promise<ProgramFloor> {
	let run = 0;
	const once = () => runOnce(program, run++, signal);
	for (let i = 0; i < REHEARSALS; i++) await once();
	const samples: number[] = [];
	for (let i = 0; i < runs; i++) samples.push(await once());
	const startedAt = performance.now();
	let left = runs * 2;
	const lane = async () => {
		while (left-- > 0) await once();
	};
	await Promise.all(Array.from({ length: AT_A_TIME }, lane));
	return { n: runs, ...durationsOf(samples), perSecond: rounded((runs * 2 * 1000) / (performance.now() - startedAt)) };
}

/** @returns milliseconds from the start of a run to its end */
function runOnce({ command, args }: Program, run: number, signal: AbortSignal | undefined): Promise<number> {
	return new Promise((resolve, reject) => {
		const startedAt = performance.now();
		const child = spawn(command, args(run), { stdio: ["ignore", "ignore", "pipe"], ...(signal === undefined ? {} : { signal }) });
		let errors = "";
		child.stderr.on("data", (text: Buffer) => {
			errors += text;
		});
		child.once("error", reject);
		child.once("exit", (code) => {
			const tookMs = performance.now() - startedAt;
			if (code === 0) resolve(tookMs);
			else child.once("close", () => reject(new Error(`${command} ended with ${code}: ${errors.trim().slice(-200)}`)));
		});
	});
}
