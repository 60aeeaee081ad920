import { describe, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { deploy, fixture, json } from "../harness/functions.js";
import { type Samples, scrape } from "../harness/metrics.js";
import { send } from "../harness/raw-http.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();

interface Document {
	readonly openapi: string;
	readonly info: { readonly title: string; readonly version: string };
	readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
	readonly components: {
		readonly securitySchemes: object;
		readonly schemas: Record<string, { readonly properties: Record<string, { enum?: string[] }> }>;
	};
}

interface Operation {
	readonly summary: string;
	readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
	readonly requestBody?: { readonly content: Record<string, { readonly schema: { readonly properties: object } }> };
	readonly responses: Record<string, { readonly description: string }>;
}

describe("/openapi.json", () => {
	const ROUTES = [
		"get /livez",
		"get /metrics",
		"get /readyz",
		"get /v1/functions",
		"put /v1/functions/{name}",
		"get /v1/functions/{name}",
		"delete /v1/functions/{name}",
		"get /v1/functions/{name}/versions",
		"get /v1/functions/{name}/versions/{number}",
		"post /v1/functions/{name}/invocations",
		"get /v1/invocations/{id}",
		"get /v1/sandboxes",
		"get /v1/stats",
		"post /v1/nodes/commands",
		"get /fn/{project}/{name}",
		"post /fn/{project}/{name}/{rest}",
	];

	it("is an OpenAPI 3.1 document that names every route, each with its parameters and answers", async () => {
		const answer = await send(stack, { path: "/openapi.json", key: null });
		expect(answer.headers["content-type"]).toContain("application/json");
		const document = json<Document>(answer);
		expect(document.openapi).toMatch(/^3\.1\./);
		expect(document.info).toMatchObject({ title: "Berth", version: expect.any(String) });
		const named = Object.entries(document.paths).flatMap(([path, operations]) =>
			Object.keys(operations).map((method) => `${method} ${path}`),
		);
		expect(named).toEqual(expect.arrayContaining(ROUTES));
		for (const [path, operations] of Object.entries(document.paths)) {
			expect(path).toMatch(/^\//);
			for (const operation of Object.values(operations)) {
				expect(operation.summary).toBeTruthy();
				const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
				expect((operation.parameters ?? []).filter((parameter) => parameter.in === "path").map(({ name }) => name)).toEqual(inPath);
				expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
				for (const { description } of Object.values(operation.responses)) expect(description).toBeTruthy();
			}
		}
	});

	it("describes a deploy's fields with their limits, and the problems there are", async () => {
		const document = json<Document>(await send(stack, { path: "/openapi.json", key: null }));
		const schema = document.paths["/v1/functions/{name}"]?.["put"]?.requestBody?.content["application/json"]?.schema;
		expect(schema?.properties).toMatchObject({ memoryMiB: { minimum: 64, maximum: 4096, default: 128 }, source: { type: "string" } });
		expect(document.components.schemas["Problem"]?.properties["code"]?.enum).toContain("out_of_memory");
	});
});

describe("health", () => {
	it.each(["/livez", "/readyz"])("%s answers without a key", async (path) => {
		const answer = await send(stack, { path, key: null });
		expect([answer.status, answer.body.toString()]).toEqual([200, "ok\n"]);
	});
});

describe("/metrics", () => {
	/** Invocations that are neither settled nor dead: by the queues' own count. */
	const inFlight = (samples: Samples) => samples.sum("berth_queue_depth");

	it("has every family that is promised, in a form that Prometheus reads", async () => {
		const deployed = await deploy(stack, { source: fixture("counts") });
		await deployed.invoke();
		await deployed.invoke();
		const samples = await scrape(stack);
		expect(samples.contentType).toMatch(/^text\/plain.*version=0\.0\.4|^application\/openmetrics-text/);
		for (const name of [
			"berth_accepted_total",
			"berth_settled_total",
			"berth_invocations_total",
			"berth_invocation_phase_seconds_bucket",
			"berth_invocation_phase_seconds_count",
			"berth_sandboxes",
			"berth_queue_depth",
			"berth_queue_oldest_seconds",
			"berth_function_queue_depth",
			"berth_function_queue_oldest_seconds",
			"berth_builds_total",
			"berth_build_layers_total",
			"berth_usage_cpu_seconds_total",
			"berth_usage_memory_byte_seconds_total",
			"berth_http_requests_total",
			"berth_http_request_seconds_count",
		]) {
			expect([name, samples.has(name)]).toEqual([name, true]);
		}
		expect(samples.unread).toEqual([]);
	});

	it("counts an invocation by outcome and start kind, its phases, and what it used", async () => {
		const deployed = await deploy(stack, { source: fixture("throws") });
		await deployed.invoke();
		const before = await scrape(stack);
		await deployed.invoke();
		const after = await scrape(stack);
		const grew = (name: string, labels: Record<string, string>) => after.sum(name, labels) - before.sum(name, labels);
		expect(grew("berth_invocations_total", { outcome: "handler_error", start: "warm", lane: "interactive" })).toBe(1);
		for (const phase of ["queue", "start", "init", "run"])
			expect(grew("berth_invocation_phase_seconds_count", { phase, start: "warm" })).toBe(1);
		expect(grew("berth_accepted_total", { lane: "interactive" })).toBe(1);
		expect(grew("berth_settled_total", { lane: "interactive" })).toBe(1);
		expect(grew("berth_usage_cpu_seconds_total", { project: "default" })).toBeGreaterThan(0);
		expect(grew("berth_usage_memory_byte_seconds_total", { project: "default" })).toBeGreaterThan(0);
	});

	it("counts builds by result, and layers by whether they were there", async () => {
		const before = await scrape(stack);
		const source = `export default () => ${Math.random()};`;
		await deploy(stack, { source });
		await deploy(stack, { source });
		await stack.client.deploy("broken", { source: "export default (" }).catch(() => undefined);
		const after = await scrape(stack);
		const grew = (name: string, labels: Record<string, string>) => after.sum(name, labels) - before.sum(name, labels);
		expect(grew("berth_builds_total", { result: "ready" })).toBe(2);
		expect(grew("berth_builds_total", { result: "failed" })).toBe(1);
		expect(grew("berth_build_layers_total", { layer: "code", cached: "false" })).toBe(1);
		expect(grew("berth_build_layers_total", { layer: "code", cached: "true" })).toBe(1);
	});

	it("shows the pool as `berth ps` does", async () => {
		const deployed = await deploy(stack, { source: fixture("counts") });
		await deployed.invoke();
		await eventually(async () => {
			const listed = (await stack.client.sandboxes()).filter(({ state }) => state === "frozen").length;
			expect(listed).toBeGreaterThan(0);
			expect((await scrape(stack)).sum("berth_sandboxes", { state: "frozen" })).toBe(listed);
		});
	});

	it("conserves invocations: what was accepted is settled, dead or in flight", async () => {
		const quick = await deploy(stack, { source: fixture("sleeps") });
		const failing = await deploy(stack, { source: fixture("exits") });
		await Promise.all([
			...Array.from({ length: 20 }, () => quick.invoke()),
			...Array.from({ length: 3 }, () => failing.invoke({ how: "exit" })),
			...Array.from({ length: 20 }, () => stack.client.invokeAsync(quick.name, { json: {} })),
			...Array.from({ length: 3 }, () => stack.client.invokeAsync(failing.name, { json: { how: "exit" } })),
		]);
		await eventually(async () => {
			const samples = await scrape(stack);
			expect(inFlight(samples)).toBe(0);
			for (const lane of ["interactive", "background"]) {
				const settled = samples.sum("berth_settled_total", { lane }) + samples.sum("berth_dead_total", { lane });
				expect([lane, settled]).toEqual([lane, samples.sum("berth_accepted_total", { lane })]);
			}
		}, 30_000);
	});
});

describe("/v1/stats", () => {
	it("says what each node did and holds", async () => {
		const deployed = await deploy(stack, { source: fixture("counts") });
		const [before] = await stack.client.stats();
		await deployed.invoke();
		await deployed.invoke();
		const [after] = await stack.client.stats();
		expect((after?.invocations.succeeded ?? 0) - (before?.invocations.succeeded ?? 0)).toBe(2);
		expect((after?.starts.warm ?? 0) - (before?.starts.warm ?? 0)).toBe(1);
		expect(after?.memoryBytes).toBeGreaterThan(0);
		expect(after?.memoryBytes).toBeLessThanOrEqual(after?.memoryBudgetBytes ?? 0);
		expect(Object.values(after?.sandboxes ?? {}).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
	});
});
