import { describe, expect, test } from "vitest";
import { newSpanId, newTraceId, traceIn, traceparentIn, traceparentOf } from "./trace.js";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("a trace in headers", () => {
	test("is taken as W3C writes it, with the state that came along", () => {
		expect(traceparentIn(`00-${TRACE}-${SPAN}-01`)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
		expect(traceparentIn(`00-${TRACE}-${SPAN}-00`)?.sampled).toBe(false);
		const headers = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "rojo=00f067aa0ba902b7,congo@vendor=t61rcWkgMzE" };
		expect(traceIn(headers)).toEqual({ traceparent: headers.traceparent, tracestate: headers.tracestate });
	});

	test("of a later version is read as far as it is known", () => {
		expect(traceparentIn(`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`)?.traceId).toBe(TRACE);
		expect(traceparentIn(`cc-${TRACE}-${SPAN}-01.what`)).toBeUndefined();
	});

	test.each([
		["another version's length", `00-${TRACE}-${SPAN}-01-more`],
		["a version that there is none of", `ff-${TRACE}-${SPAN}-01`],
		["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
		["a trace of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
		["a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
		["two headers in one", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
		["nothing", ""],
	])("isn't one with %s", (_, traceparent) => {
		expect(traceIn({ traceparent, tracestate: "a=1" })).toBeUndefined();
	});

	test.each([
		["is too long", `a=${"x".repeat(512)}`],
		["has too many members", Array.from({ length: 33 }, (_, at) => `k${at}=v`).join(",")],
		["isn't one", "no equals sign"],
	])("is taken without a state that %s", (_, tracestate) => {
		expect(traceIn({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate })).toEqual({ traceparent: `00-${TRACE}-${SPAN}-01` });
	});

	test("that is made here is one", () => {
		const made = { traceId: newTraceId(), spanId: newSpanId(), sampled: true };
		expect(traceparentIn(traceparentOf(made))).toEqual(made);
		expect(newTraceId()).not.toBe(made.traceId);
	});
});
