import { newTraceId, traceparentIn } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { isSampled } from "./sampler.js";
import { Tracing } from "./tracing.js";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const from = { traceparent: `00-${TRACE}-00f067aa0ba902b7-00`, tracestate: "a=1" };

describe("a trace", () => {
	test("goes on with another span, and as whoever began it wants it recorded", () => {
		const next = new Tracing({ name: "parentbased_always_on", ratio: 1 }).next(from);
		expect(traceparentIn(next.traceparent)).toMatchObject({ traceId: TRACE, sampled: false });
		expect(next.tracestate).toBe("a=1");
		expect(next.traceparent).not.toBe(from.traceparent);
		expect(traceparentIn(new Tracing({ name: "always_on", ratio: 1 }).next(from).traceparent)?.sampled).toBe(true);
	});

	test("begins where there is none", () => {
		const tracing = new Tracing({ name: "parentbased_always_off", ratio: 1 });
		const [one, other] = [tracing.next(undefined), tracing.next({ traceparent: "nonsense" })].map(({ traceparent }) =>
			traceparentIn(traceparent),
		);
		expect(one).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/), sampled: false });
		expect(other?.traceId).not.toBe(one?.traceId);
	});

	test("by ratio is recorded or not by its id alone, and about as often", () => {
		const sampler = { name: "traceidratio", ratio: 0.25 } as const;
		expect(isSampled(sampler, `${"0".repeat(18)}${"f".repeat(14)}`, undefined)).toBe(true);
		expect(isSampled(sampler, `${"f".repeat(18)}${"0".repeat(14)}`, { sampled: true })).toBe(false);
		expect(isSampled({ ...sampler, ratio: 0 }, "f".repeat(32), undefined)).toBe(false);
		expect(isSampled({ ...sampler, ratio: 1 }, "0".repeat(32), undefined)).toBe(true);
		const sampled = Array.from({ length: 4000 }, newTraceId).filter((id) => isSampled(sampler, id, undefined)).length;
		expect(sampled).toBeGreaterThan(800);
		expect(sampled).toBeLessThan(1200);
	});
});
