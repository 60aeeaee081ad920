import { readFileSync } from "node:fs";
import { IncomingMessage, ServerResponse, STATUS_CODES } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import { answerHeaders } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { hasContent, writeAnswerHeaders } from "./answer-headers.js";

const passes = (name: string, value = "x") => answerHeaders([[name, value]]).length === 1;

describe("of what a function says in its answer's headers", () => {
	test.each(["x-own", "ETag", "cache-control", "access-control-allow-origin", "x-accel-buffering", "x-forwarded-for"])(
		"%s goes through",
		(name) => expect(passes(name)).toBe(true),
	);

	test.each([
		...["connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "Transfer-Encoding", "upgrade"],
		...["Content-Length", "server-timing", "berth-outcome", "Berth-Invocation-Id", "berth-anything", "idempotency-replayed"],
		...["X-Accel-Redirect", "x-accel-expires", "x-sendfile", "x-lighttpd-send-file", "x-reproxy-url", "alt-svc"],
		...["Strict-Transport-Security", "clear-site-data"],
	])("%s doesn't", (name) => expect(passes(name)).toBe(false));

	test.each(["", "a b", "a:", "a\r\nb", "a\n", "ä", "a\0", "a".repeat(257), "(a)", "a,b"])("the name %j doesn't", (name) =>
		expect(passes(name)).toBe(false),
	);

	test.each(["a\r\nset-cookie: b", "a\nb", "a\rb", "a\0b", "\x7f", "\u0001", "€", "\ud800"])("the value %j doesn't", (value) =>
		expect(passes("x-own", value)).toBe(false),
	);

	test.each(["", "a\tb", "é", " a "])("the value %j does", (value) => expect(passes("x-own", value)).toBe(true));

	test("several cookies stay several, in order; of what there is one of, the first stays", () => {
		const said = [
			["Set-Cookie", "a=1; Path=/"],
			["Location", "/first"],
			["set-cookie", "b=2"],
			["location", "/second"],
			["content-type", "text/plain"],
			["Content-Type", "text/html"],
			["vary", "a"],
			["vary", "b"],
		] as const;
		expect(answerHeaders(said)).toEqual([said[0], said[1], said[2], said[4], said[6], said[7]]);
	});

	test("what it says of a rate is left out where its project has one, and stays where it has none", () => {
		const said = ["RateLimit", "ratelimit-policy", "X-RateLimit-Remaining"].map((name) => [name, "of the function"] as const);
		const ofNone = new ServerResponse(new IncomingMessage(new Socket()));
		writeAnswerHeaders(ofNone, said);
		expect(Object.keys(ofNone.getHeaders())).toEqual(["ratelimit", "ratelimit-policy", "x-ratelimit-remaining"]);
		const counted = new ServerResponse(new IncomingMessage(new Socket()));
		counted.setHeader("ratelimit", '"project";r=1;t=1');
		writeAnswerHeaders(counted, [...said, ["x-own", "1"]]);
		expect(counted.getHeaders()).toEqual({ ratelimit: '"project";r=1;t=1', "x-own": "1" });
	});

	test("what Connection lists stays behind, and what is beyond a hundred", () => {
		expect(
			answerHeaders([
				["x-hop", "1"],
				["connection", "close, X-Hop"],
				["x-end", "1"],
			]),
		).toEqual([["x-end", "1"]]);
		expect(answerHeaders(Array.from({ length: 150 }, (_, at) => [`x-${at}`, ""] as const))).toHaveLength(100);
	});

	test("the page has every kind of it", () => {
		const page = readFileSync(join(import.meta.dirname, "../../../docs/http-api.md"), "utf8");
		for (const name of [
			"transfer-encoding",
			"content-length",
			"berth-*",
			"server-timing",
			"x-accel-*",
			"x-sendfile",
			"alt-svc",
			"set-cookie",
			"location",
		])
			expect(page).toContain(`\`${name}\``);
	});
});

test("three of the final statuses have no content", () => {
	const final = Object.keys(STATUS_CODES)
		.map(Number)
		.filter((status) => status >= 200);
	expect(final.filter((status) => !hasContent(status))).toEqual([204, 205, 304]);
});
