/** A column of a table: its heading, what stands in it, and on which side. */
export interface Column<Row> {
	readonly heading: string;
	readonly cell: (row: Row) => string;
	readonly align?: "left" | "right";
}

const GAP = "  ";

/** Rows under headings, aligned with spaces; nothing after the last character of a line, and a line for each row. */
export function tableOf<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
	const lines = [columns.map((column) => column.heading), ...rows.map((row) => columns.map((column) => oneLine(column.cell(row))))];
	return align(
		lines,
		columns.map((column) => column.align ?? "left"),
	);
}

/** The same, each line cut with `…` where it is longer than this. */
export function cutTo(columns: number, table: string): string {
	const cut = (line: string) => (line.length <= columns ? line : `${line.slice(0, columns - 1).trimEnd()}…`);
	return table.split("\n").map(cut).join("\n");
}

/** What a compiler or a function says may have several lines, or control a terminal. */
function oneLine(text: string): string {
	return text.replace(/\p{Cc}+/gu, " ");
}

/** Names and values below each other. */
export function pairsOf(pairs: readonly (readonly [string, string])[], indent = ""): string {
	return align(
		pairs.map(([name, value]) => [indent + name, value]),
		["left", "left"],
	);
}

function align(lines: readonly (readonly string[])[], sides: readonly ("left" | "right")[]): string {
	const widths = sides.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
	const pad = (text: string, column: number) =>
		sides[column] === "right" ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
	return lines.map((line) => line.map(pad).join(GAP).trimEnd()).join("\n");
}
