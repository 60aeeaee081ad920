import { MINUTE_MS, SECOND_MS, type TraceSampler } from "@berth/contracts";
import { Counter, type Registry } from "prom-client";
import type { Logger } from "../logger.js";
import { SpanExporter } from "./span-exporter.js";
import { Tracing } from "./tracing.js";

/** How long a process that stops goes on sending spans, milliseconds. */
const GRACE_MS = 2 * SECOND_MS;
/** One line of the log says of all spans that were dropped within so long, milliseconds. */
const SAID_MS = MINUTE_MS;

export interface TracingOptions {
	readonly sampler: TraceSampler;
	/** Absent: nobody collects spans. */
	readonly exported?: {
		/** A collector's base URL. */
		readonly endpoint: string;
		readonly headers: Readonly<Record<string, string>>;
		readonly resource: Readonly<Record<string, string>>;
		readonly everyMs: number;
	};
}

/** A process's tracing. Whoever opened it closes it, which sends what is left. */
export interface OpenTracing {
	readonly tracing: Tracing;
	close(): Promise<void>;
}

/** @param instance which process this is, for `service.instance.id` */
export function openTracing({ sampler, exported }: TracingOptions, instance: string, registry: Registry, log: Logger): OpenTracing {
	if (exported === undefined) return { tracing: new Tracing(sampler), close: async () => undefined };
	const { endpoint, headers, resource, everyMs } = exported;
	const sent = new Counter({ name: "berth_spans_exported_total", help: "Spans that a collector took", registers: [registry] });
	const lost = new Counter({
		name: "berth_spans_dropped_total",
		help: "Spans that no collector took, or there was no room for",
		registers: [registry],
	});
	let saidAtMs = Number.NEGATIVE_INFINITY;
	const exporter = new SpanExporter({
		endpoint: `${endpoint}/v1/traces`,
		headers,
		everyMs,
		resource: { "service.instance.id": instance, ...resource },
		onExported: (spans) => sent.inc(spans),
		onDropped: (spans, reason) => {
			lost.inc(spans);
			if (performance.now() - saidAtMs < SAID_MS) return;
			saidAtMs = performance.now();
			log.warn({ spans, reason, endpoint }, "spans were dropped; berth_spans_dropped_total counts them");
		},
	});
	return { tracing: new Tracing(sampler, exporter), close: () => exporter.close(GRACE_MS) };
}
