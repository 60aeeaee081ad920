import { TRACE_SAMPLERS, type TraceSampler } from "@berth/contracts";
import * as z from "zod";

/** Where spans go, and which: OpenTelemetry's own variables. */
export interface TracingSettings {
	readonly sampler: TraceSampler;
	/** Absent: nobody collects spans. */
	readonly exported?: {
		/** A collector's base URL, without a `/` at its end. */
		readonly endpoint: string;
		readonly headers: Readonly<Record<string, string>>;
		/** `service.name` and whatever else. */
		readonly resource: Readonly<Record<string, string>>;
		/** How long spans are gathered, milliseconds. */
		readonly everyMs: number;
	};
}

const PAIRS = "name=value, several with commas between, percent-encoded where it has to be";
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that mustn't get through
const FORBIDDEN = /[\0-\x1f\x7f]/;

/** As OTEL_EXPORTER_OTLP_HEADERS and OTEL_RESOURCE_ATTRIBUTES are written. */
const pairs = (name: RegExp) =>
	z.string().transform((text, context): Readonly<Record<string, string>> => {
		const found = text
			.split(",")
			.filter((part) => part.trim() !== "")
			.map((part) => decoded(part));
		if (found.every((pair) => pair !== undefined && name.test(pair[0]))) return Object.fromEntries(found as [string, string][]);
		context.addIssue(PAIRS);
		return z.NEVER;
	});

function decoded(part: string): readonly [string, string] | undefined {
	const at = part.indexOf("=");
	if (at < 1) return undefined;
	try {
		const value = decodeURIComponent(part.slice(at + 1).trim());
		return FORBIDDEN.test(value) ? undefined : [part.slice(0, at).trim(), value];
	} catch {
		// A % that begins no escape.
		return undefined;
	}
}

/** The rows of the table of settings. */
export const tracingSettings = {
	/** Base URL of an OpenTelemetry collector's HTTP receiver; `/v1/traces` is appended. Default: no spans are sent. */
	OTEL_EXPORTER_OTLP_ENDPOINT: z
		.string()
		.regex(
			/^https?:\/\/[^/?#@\s]+(?:\/[\w.~%-]+)*\/?$/,
			"http:// or https://, a host, and perhaps a port and a path, without a name or password",
		)
		.optional(),
	/** Headers that a collector wants, a key for example. */
	OTEL_EXPORTER_OTLP_HEADERS: pairs(HEADER).optional(),
	/** What spans say that they are of. */
	OTEL_SERVICE_NAME: z.string().max(200, "at most 200 characters").default("berth"),
	/** What else they say of where they come from. */
	OTEL_RESOURCE_ATTRIBUTES: pairs(/^.{1,200}$/).optional(),
	/** How long spans are gathered before they are sent, milliseconds. */
	OTEL_BSP_SCHEDULE_DELAY: z.coerce
		.number("a whole number from 1 to 600000")
		.int("a whole number from 1 to 600000")
		.min(1, "at least 1")
		.max(600_000, "at most 600000")
		.default(5000),
	/** Which traces are recorded. */
	OTEL_TRACES_SAMPLER: z.enum(TRACE_SAMPLERS, `one of ${TRACE_SAMPLERS.join(", ")}`).default("parentbased_always_on"),
	/** Of samplers by ratio: which part of the traces. */
	OTEL_TRACES_SAMPLER_ARG: z.coerce.number("a number from 0 to 1").min(0, "at least 0").max(1, "at most 1").default(1),
};

const schema = z.object(tracingSettings);

/** The settings, parsed, as they are used. */
export function tracingOf(value: z.output<typeof schema>): TracingSettings {
	const sampler = { name: value.OTEL_TRACES_SAMPLER, ratio: value.OTEL_TRACES_SAMPLER_ARG };
	const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = value;
	if (endpoint === undefined) return Object.freeze({ sampler });
	const resource = { ...value.OTEL_RESOURCE_ATTRIBUTES, "service.name": value.OTEL_SERVICE_NAME };
	const headers = value.OTEL_EXPORTER_OTLP_HEADERS ?? {};
	const exported = { endpoint: endpoint.replace(/\/+$/, ""), headers, resource, everyMs: value.OTEL_BSP_SCHEDULE_DELAY };
	return Object.freeze({ sampler, exported });
}

/** The same as variables, for another process. */
export function tracingVariables({ sampler, exported }: TracingSettings): Record<keyof typeof tracingSettings, string | undefined> {
	const { "service.name": service, ...attributes } = exported?.resource ?? {};
	return {
		OTEL_EXPORTER_OTLP_ENDPOINT: exported?.endpoint,
		OTEL_EXPORTER_OTLP_HEADERS: pairsText(exported?.headers ?? {}),
		OTEL_SERVICE_NAME: service,
		OTEL_RESOURCE_ATTRIBUTES: pairsText(attributes),
		OTEL_BSP_SCHEDULE_DELAY: exported && String(exported.everyMs),
		OTEL_TRACES_SAMPLER: sampler.name,
		OTEL_TRACES_SAMPLER_ARG: String(sampler.ratio),
	};
}

function pairsText(of: Readonly<Record<string, string>>): string | undefined {
	const text = Object.entries(of).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
	return text.length === 0 ? undefined : text.join(",");
}
