import type { Diagnostic } from "@berth/contracts";
import type { Terminal } from "../terminal.js";

/** A diagnostic as a compiler prints it: place, message, and the source line with a mark below the column. */
export function diagnosticText(diagnostic: Diagnostic, terminal: Terminal): string {
	const { file, line, column, lineText, severity, message } = diagnostic;
	const place = [file, line, column].filter((part) => part !== undefined).join(":");
	const kind = terminal.style(severity === "error" ? "red" : "yellow", severity);
	const head = `${place === "" ? "" : `${place}: `}${kind}: ${message}`;
	if (lineText === undefined || line === undefined) return head;
	const gutter = `${line} | `.padStart(8);
	const blank = " ".repeat(gutter.length - 2);
	// Tabs before the column stay tabs, so that the mark stands right whatever their width.
	const lead = lineText.slice(0, Math.max(0, (column ?? 1) - 1)).replace(/[^\t]/g, " ");
	return [head, gutter + lineText, `${blank}| ${lead}^`].join("\n");
}

/** Whether a value is a list of diagnostics, as problems carry it. */
export function isDiagnostics(value: unknown): value is readonly Diagnostic[] {
	return Array.isArray(value) && value.every((item) => typeof item === "object" && item !== null && typeof item.message === "string");
}
