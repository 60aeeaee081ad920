import { readFile, writeFile } from "node:fs/promises";
import type { History } from "../delivery/history.js";
import type { Tally } from "./faults.js";
import { acknowledgedIn } from "./round.js";

/** What rounds came to, of a run's seed: of all until now. */
export interface Results {
	readonly seed: number;
	/** Those that are over, also of runs that this one goes on from. */
	readonly rounds: number;
	readonly acknowledged: number;
	readonly kills: number;
	readonly seconds: number;
	/** How often each kind of fault was done. */
	readonly faults: Readonly<Record<string, number>>;
	/** What clients were told, and how many firings of schedules came to what. */
	readonly told: Readonly<Record<string, number>>;
	readonly violations: readonly string[];
}

/** What a run before came to, if it had this seed and ended before this round; else nothing. */
export async function resultsBefore(path: string, seed: number, round: number): Promise<Results> {
	const none: Results = { seed, rounds: round, acknowledged: 0, kills: 0, seconds: 0, faults: {}, told: {}, violations: [] };
	try {
		const before = JSON.parse(await readFile(path, "utf8")) as Results;
		return before.seed === seed && before.rounds === round ? before : none;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		return none;
	}
}

/** With one round more. */
export function withRound(
	results: Results,
	history: Pick<History, "asked" | "schedules">,
	{ done, kills }: Tally,
	more: Pick<Results, "seconds" | "violations">,
): Results {
	return {
		seed: results.seed,
		rounds: results.rounds + 1,
		acknowledged: results.acknowledged + acknowledgedIn(history),
		kills: results.kills + kills,
		seconds: results.seconds + more.seconds,
		faults: sumOf(results.faults, Object.fromEntries(done)),
		told: sumOf(results.told, countsOf(namesOf(history))),
		violations: [...results.violations, ...more.violations],
	};
}

/** A line for whoever watches. */
export function lineOf({ rounds, acknowledged, kills, seconds, violations }: Results): string {
	const rate = Math.round(acknowledged / Math.max(1, seconds));
	return `${rounds} rounds: ${acknowledged} acknowledged (${rate}/s), ${kills} kills, ${violations.length} violations, ${seconds} s`;
}

/** For a document. */
export function textOf(results: Results): string {
	const { seed, rounds, acknowledged, kills, seconds, violations } = results;
	const minutes = Math.round(seconds / 60);
	const table = (head: string, counts: Results["told"]) =>
		[
			`| ${head} | times |`,
			"| --- | --- |",
			...Object.entries(counts)
				.sort()
				.map(([name, times]) => `| ${name} | ${times} |`),
			"",
		].join("\n");
	return [
		"| acknowledged | kills | rounds | minutes | violations | seed |",
		"| --- | --- | --- | --- | --- | --- |",
		`| ${acknowledged} | ${kills} | ${rounds} | ${minutes} | ${violations.length || "none"} | ${seed} |`,
		"",
		table("fault", results.faults),
		table("told", results.told),
		...violations.map((violation) => `- ${violation}`),
		"",
	].join("\n");
}

/** Beside each other: one for programs and the next run, one for people. */
export async function writeResults(path: string, results: Results): Promise<void> {
	await writeFile(path, `${JSON.stringify(results, null, "\t")}\n`);
	await writeFile(path.replace(/(?:\.json)?$/, ".md"), textOf(results));
}

/** What each client was told, and what became of each firing, by name. */
function namesOf({ asked, schedules = [] }: Pick<History, "asked" | "schedules">): readonly string[] {
	const told = asked.map(({ lane, told }) => {
		const detail = told.kind === "answered" ? told.outcome : told.kind;
		return [lane, detail, ...("code" in told && told.code !== undefined && told.code !== detail ? [told.code] : [])].join(" ");
	});
	return [...told, ...schedules.flatMap(({ runs }) => runs.map(({ result }) => `firing ${result}`))];
}

function countsOf(names: readonly string[]): Record<string, number> {
	return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
}

function sumOf(a: Results["told"], b: Results["told"]): Results["told"] {
	return Object.fromEntries([...Object.keys(a), ...Object.keys(b)].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]));
}
