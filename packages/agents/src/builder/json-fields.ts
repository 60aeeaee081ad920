/** Fields of a JSON object that somebody else wrote. */
export type Fields = Readonly<Record<string, unknown>>;

/** The fields of an object; none of anything else. */
export function fieldsOf(value: unknown): Fields {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Those of the names that are there. */
export function pick(fields: Fields, names: readonly string[]): Fields {
	return Object.fromEntries(names.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]]));
}

/** A value as an error shows it. */
export function shown(value: unknown): string {
	return (JSON.stringify(value) ?? "nothing").slice(0, 200);
}
