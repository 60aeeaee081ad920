import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OwnStack, startOwnStack } from "./testing/own-stack.js";
import { ended } from "./testing/settlements.js";

const APP = "https://app.example.com";
const THEIRS = [
	["access-control-allow-origin", "https://evil.example"],
	["Access-Control-Allow-Credentials", "true"],
	["vary", "accept"],
] as const;
let stack: OwnStack;
let started = 0;
beforeAll(async () => {
	stack = await startOwnStack({
		plain: { public: true },
		app: {
			public: true,
			cors: {
				origins: [APP, "http://localhost:3000"],
				methods: ["PUT"],
				headers: ["x-mine"],
				exposeHeaders: ["x-own"],
				credentials: true,
				maxAgeS: 60,
			},
		},
		any: { public: true, cors: { origins: ["*"], headers: ["*"] } },
	});
	stack.onInvocation(async ({ attempt, request }) => {
		started++;
		if (request.trigger.kind === "http" && request.trigger.request.url.includes("fails")) return ended("crashed", { attempt });
		return ended("succeeded", { attempt }, { body: { text: "hi" }, response: { status: 200, headers: THEIRS } });
	});
});
afterAll(() => stack?.close());

const ask = (name: string, origin: string | undefined, method = "GET", headers: Record<string, string> = {}) =>
	fetch(`${stack.url}/fn/default/${name}`, { method, headers: { ...(origin === undefined ? {} : { origin }), ...headers } });
const preflight = (name: string, origin: string) => ask(name, origin, "OPTIONS", { "access-control-request-method": "PUT" });
const said = ({ headers }: Response) =>
	Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control-") || name === "vary"));

describe("a preflight", () => {
	test("is answered by the gateway, with what the manifest says, and starts nothing", async () => {
		const before = started;
		const answer = await preflight("app", APP);
		expect([answer.status, said(answer)]).toEqual([
			204,
			{
				"access-control-allow-origin": APP,
				"access-control-allow-credentials": "true",
				"access-control-allow-methods": "PUT",
				"access-control-allow-headers": "x-mine",
				"access-control-max-age": "60",
				vary: "Origin",
			},
		]);
		expect(said(await preflight("any", "https://any.example"))).toEqual({
			"access-control-allow-origin": "*",
			"access-control-allow-methods": "GET, HEAD, POST",
			"access-control-allow-headers": "*",
			vary: "Origin",
		});
		expect(started).toBe(before);
	});

	test.each(["https://evil.example", "null", `${APP}.evil.example`, `${APP}:8443`, "http://app.example.com"])(
		"from %s is allowed nothing",
		async (origin) => {
			const answer = await preflight("app", origin);
			expect([answer.status, said(answer)]).toEqual([204, { vary: "Origin" }]);
		},
	);

	test("of a function without cors is the function's own business", async () => {
		const before = started;
		expect(said(await preflight("plain", APP))).toMatchObject({ "access-control-allow-origin": "https://evil.example" });
		expect(started).toBe(before + 1);
	});

	test("an OPTIONS that is none reaches the function", async () => {
		const before = started;
		expect((await ask("app", APP, "OPTIONS")).status).toBe(200);
		expect(started).toBe(before + 1);
	});
});

describe("an answer", () => {
	test("may be read by the manifest's origins alone, whatever the function says of that", async () => {
		expect(said(await ask("app", APP))).toEqual({
			"access-control-allow-origin": APP,
			"access-control-allow-credentials": "true",
			"access-control-expose-headers": "x-own",
			vary: "Origin, accept",
		});
		expect(said(await ask("app", "https://evil.example"))).toEqual({ vary: "Origin, accept" });
		expect(said(await ask("app", undefined))).toEqual({ vary: "Origin, accept" });
	});

	test("that is a problem may be read as well", async () => {
		const answer = await ask("app/fails", APP);
		expect([answer.status, said(answer)["access-control-allow-origin"]]).toEqual([502, APP]);
	});

	test("of a function without cors is left as it is", async () => {
		expect(said(await ask("plain", APP))).toEqual({
			"access-control-allow-origin": "https://evil.example",
			"access-control-allow-credentials": "true",
			vary: "accept",
		});
	});
});

test.each([
	[{ cors: { origins: [APP] } }, "cors"],
	[{ public: true, cors: { origins: ["https://*.example.com"] } }, "cors.origins.0"],
	[{ public: true, cors: { origins: ["*"], credentials: true } }, "cors.origins"],
	[{ public: true, cors: { origins: [APP], headers: ["*"], credentials: true } }, "cors.headers"],
	[{ public: true, cors: { origins: ["*", APP] } }, "cors.origins"],
	[{ public: true, cors: { origins: [] } }, "cors.origins"],
	[{ public: true, cors: { origins: [`${APP}/`] } }, "cors.origins.0"],
	[{ public: true, cors: { origins: ["app.example.com"] } }, "cors.origins.0"],
	[{ public: true, cors: { origins: [APP], methods: ["TRACE"] } }, "cors.methods.0"],
	[{ public: true, cors: { origins: [APP], maxAgeS: -1 } }, "cors.maxAgeS"],
	[{ public: true, cors: { origins: [APP], origin: APP } }, "cors.origin"],
])("%j is refused, by its field", async (manifest, field) => {
	const answer = await stack.call("PUT", "/v1/functions/refused", { source: "export default () => 1", ...manifest }, 400);
	expect(answer).toMatchObject({ code: "invalid_manifest", issues: [{ field }] });
});
