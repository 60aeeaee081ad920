import { BerthError } from "./errors.js";
import type { BuildFailure, Diagnostic, Version } from "./version.js";

/** A version that couldn't be built, as an error of who deployed it. */
export function buildError({ number }: Pick<Version, "number">, { code, phase, message, diagnostics }: BuildFailure): BerthError {
	const issues = diagnostics.map((one) => ({ field: placeOf(one), message: one.message }));
	return new BerthError(code, message, { issues, extra: { phase, diagnostics, version: number } });
}

function placeOf({ file, line, column }: Diagnostic): string {
	return [file ?? "source", line, column].filter((part) => part !== undefined).join(":");
}
