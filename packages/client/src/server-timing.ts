/** One metric of a Server-Timing header. */
export interface ServerTiming {
	/** Milliseconds. */
	readonly durationMs?: number;
	/** Of `start`: the start kind. */
	readonly description?: string;
}

/**
 * Reads a `Server-Timing` header (W3C Server Timing, section 3) into its metrics by name. What it
 * can't read it leaves out.
 */
export function parseServerTiming(header: string | undefined): Readonly<Record<string, ServerTiming>> {
	const metrics: Record<string, ServerTiming> = {};
	for (const metric of (header ?? "").split(",")) {
		const [name, ...parameters] = metric.split(";").map((part) => part.trim());
		if (!name) continue;
		const values = new Map(parameters.map((parameter) => pairOf(parameter)));
		const duration = Number(values.get("dur") ?? Number.NaN);
		const description = values.get("desc");
		metrics[name] = {
			...(Number.isFinite(duration) ? { durationMs: duration } : {}),
			...(description === undefined ? {} : { description }),
		};
	}
	return metrics;
}

function pairOf(parameter: string): [string, string] {
	const at = parameter.indexOf("=");
	if (at < 0) return [parameter, ""];
	return [
		parameter.slice(0, at).trim().toLowerCase(),
		parameter
			.slice(at + 1)
			.trim()
			.replace(/^"(.*)"$/, "$1"),
	];
}
