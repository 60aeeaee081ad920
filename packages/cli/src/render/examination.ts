import type { CheckStatus } from "../doctor/check.js";
import type { Enforced } from "../doctor/enforced.js";
import type { Examination } from "../doctor/examine.js";
import type { Terminal } from "../terminal.js";
import { pairsOf } from "./table.js";

const MARKS = {
	ok: ["ok     ", "green"],
	warning: ["warning", "yellow"],
	failed: ["FAILED ", "red"],
} as const satisfies Record<CheckStatus, readonly [string, string]>;

/** One line a check, how to mend it below, and the sum of it all. */
export function examinationText({ ok, checks, enforced }: Examination, terminal: Terminal): string {
	const width = Math.max(...checks.map(({ name }) => name.length));
	const lines = checks.flatMap(({ name, status, found, mend }) => {
		const [mark, colour] = MARKS[status];
		const line = `${terminal.style(colour, mark)}  ${name.padEnd(width)}  ${found}`;
		return mend === undefined ? [line] : [line, `${" ".repeat(mark.length + width + 4)}→ ${mend}`];
	});
	const count = (status: CheckStatus) => checks.filter((check) => check.status === status).length;
	const warnings = count("warning");
	const ending = warnings === 0 ? "" : `, with ${warnings} warning${warnings === 1 ? "" : "s"}`;
	return [
		...lines,
		"",
		...enforcedLines(enforced, terminal),
		ok ? `Everything that is needed is there${ending}.` : `${count("failed")} of ${checks.length} checks failed.`,
	].join("\n");
}

/** A table of what functions are held to, and what does it. */
function enforcedLines(enforced: readonly Enforced[], terminal: Terminal): readonly string[] {
	if (enforced.length === 0) return [];
	const rows = enforced.map(({ limit, by, isEnforced }): [string, string] => [
		limit,
		isEnforced ? by : terminal.style("red", `NOT ENFORCED: ${by}`),
	]);
	return ["What sandboxes are held to, and by what:", pairsOf(rows, "  "), ""];
}
