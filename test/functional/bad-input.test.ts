import { FIXED_LIMITS, LIMITS, type Problem } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { deploy, freshName, json } from "../harness/functions.js";
import { putFunction, type RawResponse, send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const SOURCE = "export default () => 1;";

/** The problem in an answer: whole, as RFC 9457 wants it, and free of anything of ours. */
function problemIn(answer: RawResponse, status: number): Problem {
	expect(answer.headers["content-type"]).toBe("application/problem+json");
	expect(answer.status).toBe(status);
	const problem = json<Problem>(answer);
	expect(problem).toMatchObject({
		type: `urn:berth:error:${problem.code}`,
		status,
		title: expect.any(String),
		detail: expect.any(String),
		fault: "caller",
		retryable: false,
	});
	expect(answer.body.toString()).not.toMatch(/node_modules|\.[jt]s:\d|\/var\/lib|\\n {4}at /);
	return problem;
}

describe("a manifest's field", () => {
	it.each([
		["memoryMib", { memoryMib: 256 }, "memoryMiB"],
		["timeout", { timeout: 5 }, "timeoutMs"],
		["Env", { Env: {} }, "env"],
		["netwrok", { netwrok: "none" }, "network"],
	])("that is misspelt (%s) is refused with the one that was meant", async (field, fields, meant) => {
		const problem = problemIn(await putFunction(stack, freshName(), { source: SOURCE, ...fields }), 400);
		expect(problem).toMatchObject({ code: "invalid_manifest", issues: [{ field }] });
		expect(problem.issues?.[0]?.message).toContain(meant);
	});

	const { memoryMiB, cpuMilli, timeoutMs, tmpfsMiB, concurrency } = LIMITS;
	it.each<[string, unknown]>([
		["memoryMiB", memoryMiB.min - 1],
		["memoryMiB", memoryMiB.max + 1],
		["memoryMiB", "128"],
		["memoryMiB", 128.5],
		["memoryMiB", null],
		["memoryMiB", -1],
		["cpuMilli", cpuMilli.min - 1],
		["cpuMilli", cpuMilli.max + 1],
		["timeoutMs", timeoutMs.min - 1],
		["timeoutMs", timeoutMs.max + 1],
		["tmpfsMiB", tmpfsMiB.min - 1],
		["tmpfsMiB", tmpfsMiB.max + 1],
		["concurrency", concurrency.min - 1],
		["runtime", "node99"],
		["runtime", "../node24"],
		["network", "host"],
		["reuse", 0],
		["reuse", "sometimes"],
		["scratch", "none"],
		["public", "yes"],
		["filename", "../index.ts"],
		["filename", "/etc/passwd"],
		["filename", "index.py"],
		["filename", "half\ud800.ts"],
		["description", "half \ud800"],
		["source", ""],
		["source", 5],
	])("%s: %j is refused by name", async (field, value) => {
		const problem = problemIn(await putFunction(stack, freshName(), { source: SOURCE, [field]: value }), 400);
		expect(problem.code).toBe("invalid_manifest");
		expect(problem.issues?.map((issue) => issue.field)).toContain(field);
	});

	it.each<[string, Record<string, unknown>]>([
		["a name with an equals sign", { "A=B": "1" }],
		["an empty name", { "": "1" }],
		["half a surrogate pair", { A: "\ud800" }],
		["a value that is a number", { A: 1 }],
		["too many", Object.fromEntries(Array.from({ length: FIXED_LIMITS.envCount + 1 }, (_, index) => [`V${index}`, "1"]))],
		["too much", { A: "x".repeat(FIXED_LIMITS.envBytes) }],
	])("env with %s is refused", async (_, env) => {
		const problem = problemIn(await putFunction(stack, freshName(), { source: SOURCE, env }), 400);
		expect(problem.code).toBe("invalid_manifest");
		expect(problem.issues?.[0]?.field).toMatch(/^env/);
	});

	it.each<[string, object]>([
		["pool.min", { pool: { min: 101 } }],
		["pool.min", { pool: { min: 5 }, concurrency: 4 }],
		["pool.minimum", { pool: { minimum: 1 } }],
		["pool.windows.0.cron", { pool: { windows: [{ cron: "0 8 * *", forMs: 60_000, min: 1 }] } }],
		["pool.windows.0.cron", { pool: { windows: [{ cron: "0 0 31 2 *", forMs: 60_000, min: 1 }] } }],
		[
			"pool.windows.1.min",
			{
				pool: {
					windows: [
						{ cron: "@daily", forMs: 60_000, min: 1 },
						{ cron: "@daily", forMs: 60_000, min: 2 },
					],
				},
				concurrency: 1,
			},
		],
		["pool.windows.0.forMs", { pool: { windows: [{ cron: "@daily", forMs: 59_999, min: 1 }] } }],
		["pool.windows.0.timeZone", { pool: { windows: [{ cron: "@daily", forMs: 60_000, min: 1, timeZone: "Berlin" }] } }],
	])("%s is refused by name in %j", async (field, manifest) => {
		const problem = problemIn(await putFunction(stack, freshName(), { source: SOURCE, ...manifest }), 400);
		expect([problem.code, problem.issues?.map((issue) => issue.field)]).toEqual(["invalid_manifest", [field]]);
	});

	it("that reaches for the prototype changes nothing", async () => {
		const answer = await putFunction(
			stack,
			freshName(),
			`{"source":${JSON.stringify(SOURCE)},"__proto__":{"memoryMiB":4096},"env":{"__proto__":"x"}}`,
		);
		expect(problemIn(answer, 400)).toMatchObject({ code: "invalid_request", detail: expect.stringContaining("__proto__") });
	});

	it("several of which are wrong are all named", async () => {
		const problem = problemIn(await putFunction(stack, freshName(), { source: SOURCE, memoryMiB: 1, timeoutMs: 1, colour: "red" }), 400);
		expect(problem.issues?.map(({ field }) => field).sort()).toEqual(["colour", "memoryMiB", "timeoutMs"]);
	});

	it("is checked in an archive's header, too", async () => {
		const body = tarGz({ path: "index.js", body: SOURCE });
		for (const [manifest, code] of [
			['{"memoryMiB":1}', "invalid_manifest"],
			['{"source":"x"}', "invalid_manifest"],
			['{"entry":"../up.js"}', "invalid_manifest"],
			["{", "invalid_request"],
			["[]", "invalid_manifest"],
			["null", "invalid_manifest"],
		] as const) {
			const headers = [
				["content-type", "application/gzip"],
				["berth-manifest", manifest],
			] as const;
			const answer = await send(stack, { method: "PUT", path: `/v1/functions/${freshName()}`, headers, body });
			expect(problemIn(answer, 400).code).toBe(code);
		}
	});
});

describe("a name", () => {
	const NAMES = [
		"Upper",
		"9lives",
		"-dash",
		"under_score",
		"a".repeat(64),
		"..%2f..%2fetc",
		"%2e%2e",
		"a%2fb",
		"a%00b",
		"a%0ab",
		"__proto__",
		"constructor%20",
		"h%C3%A9llo",
		// Cyrillic а, fullwidth a, and an a with a zero-width space.
		"%D0%B0bc",
		"%EF%BD%81bc",
		"a%E2%80%8Bb",
		"%F0%9F%92%A5",
	];

	it.each(NAMES)("%s is refused on every route that takes one", async (name) => {
		const answers = [
			await putFunction(stack, name, { source: SOURCE }),
			await send(stack, { path: `/v1/functions/${name}` }),
			await send(stack, { method: "DELETE", path: `/v1/functions/${name}` }),
			await send(stack, { path: `/v1/functions/${name}/versions` }),
			await send(stack, { method: "POST", path: `/v1/functions/${name}/invocations` }),
			await send(stack, { path: `/fn/default/${name}/` }),
			await send(stack, { path: `/fn/${name}/hello/` }),
		];
		for (const answer of answers) expect(problemIn(answer, 400).code).toBe("invalid_name");
	});

	it("of 63 characters is the longest", async () => {
		const name = `n${freshName().replaceAll("-", "")}`.padEnd(63, "x").slice(0, 63);
		expect((await putFunction(stack, name, { source: SOURCE })).status).toBe(201);
		expect((await stack.client.invoke(name)).raw.body.toString()).toBe("1");
	});

	it.each(["constructor", "prototype", "hasownproperty", "null", "default", "a--b", "ends-"])(
		"%s is a name like any other",
		async (name) => {
			expect(problemIn(await send(stack, { path: `/v1/functions/${name}` }), 404).code).toBe("function_not_found");
			expect((await putFunction(stack, name, { source: SOURCE })).status).toBe(201);
			expect((await stack.client.invoke(name)).raw.body.toString()).toBe("1");
			await stack.client.remove(name);
		},
	);
});

describe("a body", () => {
	it("of an invocation that says it is JSON and isn't is the caller's mistake, waited for or not", async () => {
		const deployed = await deploy(stack, { source: SOURCE });
		for (const more of [[], [["prefer", "respond-async"]]] as const) {
			const headers = [["content-type", "application/json"], ...more] as const;
			const answer = await send(stack, { method: "POST", path: `/v1/functions/${deployed.name}/invocations`, headers, body: "{bad" });
			expect(problemIn(answer, 400).code).toBe("invalid_request");
		}
	});

	it.each([
		["that is no JSON", "{", 400],
		["that is empty", "", 400],
		["that is no object", "[1]", 400],
		["that is a number", "5", 400],
		["that nests deeply", "[".repeat(100_000), 400],
		["that nests deeply and ends", `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`, 400],
	])("of a deploy %s is refused", async (_, body, status) => {
		problemIn(await putFunction(stack, freshName(), body), status);
	});

	it("of a deploy that is larger than its limit is refused", async () => {
		expect(problemIn(await putFunction(stack, freshName(), `"${"x".repeat(9 * 1024 * 1024)}"`), 413)).toMatchObject({
			code: "body_too_large",
		});
		const large = { source: `//${"x".repeat(FIXED_LIMITS.sourceBytes)}` };
		expect(problemIn(await putFunction(stack, freshName(), large), 400).issues?.[0]?.field).toBe("source");
		const headers = [["content-type", "application/zip"]] as const;
		const body = Buffer.alloc(FIXED_LIMITS.archiveBytes + 1);
		problemIn(await send(stack, { method: "PUT", path: `/v1/functions/${freshName()}`, headers, body }), 413);
	});

	it.each(["text/plain", "application/x-bzip2", "", "application/json2"])(
		"of a deploy as %j is refused with what may be sent",
		async (type) => {
			const problem = problemIn(await putFunction(stack, freshName(), SOURCE, { type }), 415);
			expect(problem.detail).toContain("application/gzip");
		},
	);

	it.each([
		{ kind: "explode" },
		{ kind: "kill" },
		{ kind: "kill", sandbox: "../../x" },
		{ kind: "prewarm", floor: 1e9 },
		{ kind: "evict" },
		[],
	])("of a command that isn't one is refused: %j", async (command) => {
		const answer = await send(stack, { method: "POST", path: "/v1/nodes/commands", body: JSON.stringify(command) });
		expect(problemIn(answer, 400).code).toBe("invalid_request");
	});
});

describe("a path or method", () => {
	it.each([
		["GET", "/nowhere", 404, "not_found"],
		["GET", "/v1/functions/%E0%A4%A", 400, "invalid_request"],
		["POST", "/v1/functions", 405, "method_not_allowed"],
		["PATCH", "/v1/functions/hello", 405, "method_not_allowed"],
		["DELETE", "/livez", 405, "method_not_allowed"],
		["GET", "/v1/functions/hello/versions/zero", 400, "invalid_request"],
		["GET", "/v1/functions/hello/versions/0", 400, "invalid_request"],
		["GET", "/v1/functions/hello/versions/1e3", 400, "invalid_request"],
		["GET", "/v1/invocations/inv_0", 404, "invocation_not_found"],
		["GET", "/v1/invocations/..%2f..%2fx", 404, "invocation_not_found"],
		["GET", "/v1/functions/no-such-function", 404, "function_not_found"],
		["DELETE", "/v1/functions/no-such-function", 404, "function_not_found"],
		["POST", "/v1/functions/no-such-function/invocations", 404, "function_not_found"],
		["GET", "/fn/default/no-such-function/", 404, "function_not_found"],
		["GET", "/fn/no-such-project/hello/", 404, "function_not_found"],
		["GET", "/fn/default", 404, "not_found"],
		// A name is missing: not all of them are meant.
		["DELETE", "/v1/dead-letters/", 404, "not_found"],
		["GET", "/v1/functions/", 404, "not_found"],
	])("%s %s is answered %i %s", async (method, path, status, code) => {
		expect(problemIn(await send(stack, { method, path }), status).code).toBe(code);
	});

	it("that is refused for its method says which there are", async () => {
		const answer = await send(stack, { method: "PATCH", path: "/v1/functions/hello" });
		expect(answer.headers["allow"]?.split(", ")).toEqual(expect.arrayContaining(["PUT", "GET", "DELETE"]));
		expect(answer.headers["allow"]).not.toContain("PATCH");
	});
});

describe("a key", () => {
	interface Operation {
		readonly security?: unknown;
	}

	async function lockedRoutes(): Promise<readonly (readonly [string, string])[]> {
		const document = json<{ paths: Record<string, Record<string, Operation>> }>(await send(stack, { path: "/openapi.json", key: null }));
		return Object.entries(document.paths).flatMap(([path, operations]) =>
			Object.entries(operations)
				.filter(([, { security }]) => security !== undefined)
				.map(([method]) => [method.toUpperCase(), path] as const),
		);
	}

	it("is wanted on every route that the document says is locked, whatever it is asked about", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		const routes = await lockedRoutes();
		expect(routes.length).toBeGreaterThanOrEqual(10);
		for (const [method, template] of routes) {
			const path = template
				.replace("{project}", "default")
				.replace("{name}", name)
				.replace("{number}", "1")
				.replace("{id}", `inv_${"0".repeat(26)}`);
			for (const key of [null, "", "wrong", "berth_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", `${stack.key}x`]) {
				const answer = await send(stack, { method, path, key });
				expect([method, path, key, answer.status]).toEqual([method, path, key, 401]);
				expect(answer.headers["www-authenticate"]).toBe("Bearer");
				if (method !== "HEAD") expect(json(answer)).toMatchObject({ code: "unauthorized" });
			}
		}
		expect((await stack.client.get(name)).live).toBe(1);
	});

	it("that is missing makes a function that isn't public look like one that isn't there", async () => {
		const { name } = await deploy(stack, { source: SOURCE });
		const there = await send(stack, { path: `/fn/default/${name}/`, key: null });
		const absent = await send(stack, { path: "/fn/default/no-such-function/", key: null });
		expect(there.status).toBe(401);
		// Only what names the one request differs.
		expect({ ...json(there), instance: "" }).toEqual({ ...json(absent), instance: "" });
	});

	it("is looked for before the body is read", async () => {
		const body = Buffer.alloc(20 * 1024 * 1024);
		const answer = await send(stack, { method: "PUT", path: "/v1/functions/hello", key: null, body }).catch((error: Error) => error);
		if (!(answer instanceof Error)) expect(answer.status).toBe(401);
	});
});
