import { expect, test } from "vitest";
import { GatewayMetrics } from "./gateway-metrics.js";
import { WorkerMetrics } from "./worker-metrics.js";

const attempt = {
	attempt: 1,
	outcome: "succeeded",
	start: "warm",
	phases: { queueMs: 1, startMs: 0, initMs: 0, runMs: 2000 },
	usage: { cpuMs: 500, peakMemoryBytes: 1000, scratchBytes: 0 },
	limitsHit: [],
	node: "n",
	finishedAtMs: 0,
} as const;

test("a lane's totals are exported as they are, with what isn't accounted for", async () => {
	const metrics = new GatewayMetrics();
	metrics.lane("background", { accepted: 5, settled: 1, dead: 1, inFlight: 3 });
	metrics.lane("background", { accepted: 9, settled: 4, dead: 1, inFlight: 3 });
	const text = await metrics.registry.metrics();
	for (const line of ["accepted_total", "settled_total", "dead_total", "in_flight", "unaccounted"].map(
		(name, i) => `berth_${name}{lane="background"} ${[9, 4, 1, 3, 1][i]}`,
	))
		expect(text).toContain(line);
});

test("a function that waits has series of its own, which go when it is no more among those that wait longest", async () => {
	const metrics = new GatewayMetrics();
	const others = { waiting: 7, delayed: 0, active: 0, oldestMs: 0 };
	const one = (name: string) => ({ project: "default", function: name, waiting: 3, delayed: 1, active: 2, oldestMs: 1500 });
	metrics.backlogs([one("slow"), one("slower")], others);
	metrics.backlogs([one("slower")], others);
	const text = await metrics.registry.metrics();
	for (const line of [
		'berth_function_queue_depth{project="default",function="slower",state="waiting"} 3',
		'berth_function_queue_depth{project="default",function="slower",state="delayed"} 1',
		'berth_function_queue_depth{project="default",function="slower",state="active"} 2',
		'berth_function_queue_oldest_seconds{project="default",function="slower"} 1.5',
		'berth_function_queue_depth{project="(others)",function="(others)",state="waiting"} 7',
	])
		expect(text).toContain(line);
	expect(text).not.toContain('"slow"');
});

test("a version's refusal for its crashes isn't counted as a fault of the platform", async () => {
	const metrics = new WorkerMetrics(() => []);
	for (const code of ["function_failing", "start_timed_out", undefined] as const)
		metrics.settled("default", "interactive", {
			attempt: { ...attempt, outcome: "platform_error", ...(code === undefined ? {} : { code }) },
		});
	const text = await metrics.registry.metrics();
	expect(text).toContain('berth_invocations_total{outcome="refused",start="warm",lane="interactive"} 1');
	expect(text).toContain('berth_invocations_total{outcome="platform_error",start="warm",lane="interactive"} 2');
});

test("an attempt is counted by outcome, start and lane, its phases are measured, and its project pays", async () => {
	const metrics = new WorkerMetrics(() => []);
	metrics.settled("default", "interactive", { attempt });
	metrics.built("ready", [{ name: "code", cached: true }]);
	const text = await metrics.registry.metrics();
	for (const line of [
		'berth_invocations_total{outcome="succeeded",start="warm",lane="interactive"} 1',
		'berth_invocation_phase_seconds_count{phase="run",start="warm"} 1',
		'berth_usage_attempts_total{project="default"} 1',
		'berth_usage_cpu_seconds_total{project="default"} 0.5',
		'berth_usage_memory_byte_seconds_total{project="default"} 2000',
		'berth_builds_total{result="ready"} 1',
		'berth_build_layers_total{layer="code",cached="true"} 1',
	])
		expect(text).toContain(line);
	expect(metrics.outcomes).toEqual({ succeeded: 1 });
});

test("how full a node's disk is, and a gateway's stores are, and when its certificate expires, is told", async () => {
	const worker = new WorkerMetrics(() => []);
	worker.disk("/");
	const { values } = (await worker.registry.getSingleMetric("berth_disk_bytes")?.get()) ?? { values: [] };
	const [size, free] = ["size", "free"].map((of) => values.find(({ labels }) => labels["of"] === of)?.value ?? 0);
	expect(size).toBeGreaterThan(2 ** 20);
	expect(free).toBeLessThanOrEqual(size as number);
	const gateway = new GatewayMetrics();
	expect(await gateway.registry.metrics()).not.toContain("berth_certificate");
	gateway.payloads("queued", { takenBytes: 3, maxBytes: 10 });
	gateway.certificateExpires(1_000);
	gateway.certificateExpires(2_000);
	const text = await gateway.registry.metrics();
	for (const line of [
		'berth_payload_bytes{store="queued",of="taken"} 3',
		'berth_payload_bytes{store="queued",of="max"} 10',
		"berth_certificate_expires_timestamp_seconds 2",
	])
		expect(text).toContain(line);
});
