import { type InvocationRequest, type InvokeHead, traceHeaders } from "@berth/contracts";

/** What a function is given of the trace: whatever it is given, and in an HTTP request's headers, where libraries look for it. */
export function tracedTrigger({ trigger, trace }: Pick<InvocationRequest, "trigger" | "trace">): Pick<InvokeHead, "trigger" | "trace"> {
	if (trace === undefined) return { trigger };
	if (trigger.kind !== "http") return { trigger, trace };
	const { request } = trigger;
	return { trigger: { ...trigger, request: { ...request, headers: [...request.headers, ...traceHeaders(trace)] } }, trace };
}
