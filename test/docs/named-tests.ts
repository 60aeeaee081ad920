import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COLUMN_FILES, COLUMNS } from "../security/matrix/attack.js";
import { MATRIX } from "../security/matrix/attacks.js";
import { cellOf } from "../security/matrix/page.js";
import { ROOT } from "./pages.js";

/** What calls a test, or a group, into being; a title is its first argument, or that of what it gives: `it.each(table)(title`. */
const CALL = /(?<![\w.])(?:test|it|describe)((?:\.\w+)*)(?:<[^()]*>)?\(/g;
const CURRIED = /\.(?:each|for|runIf|skipIf)$/;
const NOT_RUN = /\.(?:skip|todo)\b/;
/** Lines that say, and do nothing. */
const COMMENTS = /^\s*(?:\/\/|\/\*|\*).*$/gm;

/** How much of a title is said. */
type Said = "all of it" | "its beginning";

/** Whether a file has a test, or a group of tests, of this title that is run, but for a number or a case before it; those of the matrix of attacks have their rows' names. */
export function hasTest(file: string, title: string, said: Said): boolean {
	const column = COLUMNS.find((one) => join(ROOT, COLUMN_FILES[one]) === file);
	if (column !== undefined) {
		const row = MATRIX.find(({ name }) => name === title);
		return row !== undefined && "tests" in (cellOf(row, column) ?? {});
	}
	return existsSync(file) && runs(readFileSync(file, "utf8"), title, said);
}

/** @param source of a file with tests */
export function runs(source: string, title: string, said: Said): boolean {
	const text = source.replace(COMMENTS, "");
	const end = said === "all of it" ? "\\1" : "";
	const titles = [...text.matchAll(new RegExp(`\\(\\s*(["'\`])(?:\\$\\{\\w+\\} |%s:? )?${escaped(title)}${end}`, "g"))];
	return titles.some(({ index }) => {
		const [call] = [...text.slice(0, index + 1).matchAll(CALL)].slice(-1);
		if (call === undefined || NOT_RUN.test(call[1] ?? "")) return false;
		return CURRIED.test(call[1] ?? "") ? text[index - 1] === ")" : call.index + call[0].length === index + 1;
	});
}

function escaped(text: string): string {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
