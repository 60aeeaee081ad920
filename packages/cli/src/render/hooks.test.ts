import type { HookEvent } from "@berth/contracts";
import { expect, test } from "vitest";
import { eventLine, eventsTable, eventText } from "./hooks.js";

const EVENT: HookEvent = {
	id: "evt_1",
	function: "shop",
	hook: "github",
	revision: 2,
	at: "2026-11-25T10:00:00.123Z",
	result: "queued",
	event: "push",
	from: "192.0.2.1",
	method: "POST",
	query: "?a=1",
	headers: [["x-github-event", "push"]],
	bodyBytes: 2,
	status: 202,
	durationMs: 3,
	invocation: "inv_1",
	state: "settled",
	outcome: "handler_error",
};

test("a delivery is a line that says what became of it", () => {
	expect(eventLine(EVENT)).toBe("10:00:00.123  evt_1  push  queued, handler_error  202  3 ms  inv_1");
	expect(eventsTable([EVENT], Date.parse(EVENT.at) + 60_000)).toBe(
		"EVENT  AT      OF    RESULT                 STATUS  INVOCATION\nevt_1  1m ago  push  queued, handler_error     202  inv_1",
	);
});

test("what a stranger wrote has a line of its own, and no other", () => {
	const { invocation: _, outcome: __, state: ___, ...rest } = EVENT;
	const forged: HookEvent = { ...rest, result: "refused", event: "push\nevt_2  queued", reason: "x\u001b[2Jy" };
	expect(eventLine(forged)).toBe("10:00:00.123  evt_1  push evt_2  queued  refused  202  3 ms  x [2Jy");
	const text = eventText({ ...forged, headers: [["x-a", "1\nb: 2"]], body: { text: "{}" } });
	expect(text).toContain("\n\nx-a: 1 b: 2\n\n{}");
	expect(text).toContain("from    192.0.2.1: POST ?a=1");
});

test("a body that isn't kept is said to be gone", () => {
	expect(eventText(EVENT)).toMatch(/\n\n\(the body isn't kept\)$/);
});
