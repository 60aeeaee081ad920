import type * as z from "zod";

/** Wrong settings: every one of them, by variable. */
export class SettingsError extends Error {
	override readonly name = "SettingsError";
}

/** What may hold a password, or is one. */
const UNSHOWN = new Set([
	"BERTH_REGISTRIES",
	"BERTH_PACKAGE_REGISTRIES",
	"BERTH_PYPI_INDEXES",
	"BERTH_SECRETS_KEY",
	"BERTH_PAYLOAD_STORE",
	"OTEL_EXPORTER_OTLP_HEADERS",
]);

/** `BERTH_PORT is "80x": a whole number from 0 to 65535`. What may hold a password isn't shown. */
export function describe(
	{ path, message }: z.core.$ZodIssue,
	given: Readonly<Record<string, string | undefined>>,
	flags: Readonly<Record<string, string>>,
): string {
	const variable = path.join(".");
	const name = flags[variable] ?? variable;
	return variable.endsWith("_URL") || UNSHOWN.has(variable)
		? `${name}: ${message}`
		: `${name} is ${JSON.stringify(given[variable])}: ${message}`;
}
