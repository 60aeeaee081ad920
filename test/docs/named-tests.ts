import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COLUMN_FILES, COLUMNS } from "../security/matrix/attack.js";
import { MATRIX } from "../security/matrix/attacks.js";
import { cellOf } from "../security/matrix/page.js";
import { ROOT } from "./pages.js";

/** Whether a file has a test, or a group of tests, whose title begins so, but for a number or a case before it; those of the matrix of attacks have their rows' names. */
export function hasTest(file: string, title: string): boolean {
	const column = COLUMNS.find((one) => join(ROOT, COLUMN_FILES[one]) === file);
	if (column !== undefined) {
		const row = MATRIX.find(({ name }) => name === title);
		return row !== undefined && "tests" in (cellOf(row, column) ?? {});
	}
	if (!existsSync(file)) return false;
	return new RegExp(`\\b(?:test|it|describe)\\b[\\s\\S]{0,400}?["\`](?:\\$\\{\\w+\\} |%s:? )?${escaped(title)}`).test(
		readFileSync(file, "utf8"),
	);
}

function escaped(text: string): string {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
