import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { GatewayMetrics, WorkerMetrics } from "@berth/telemetry";
import { expect, test } from "vitest";
import { ROOT } from "./pages.js";

const PROMTOOL = join(ROOT, "node_modules/.berth/prometheus/usr/bin/promtool");
const RULES = join(ROOT, "infra/prometheus/berth.rules.yml");
const TESTS = join(ROOT, "infra/prometheus/berth.test.yml");

const rules = readFileSync(RULES, "utf8");
const matchesOf = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => found as string);
const recorded = matchesOf(rules, /- record: (\S+)/g);
const alerts = matchesOf(rules, /- alert: (\S+)/g);
const rulesExpressions = matchesOf(rules, /^ +expr: (.+)$/gm);

type Panel = { readonly targets?: readonly { readonly expr: string }[] };
const dashboard = JSON.parse(readFileSync(join(ROOT, "infra/grafana/berth.json"), "utf8")) as { readonly panels: readonly Panel[] };
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** @throws Error with what it printed */
async function promtool(...args: readonly string[]): Promise<string> {
	const { stdout } = await promisify(execFile)(PROMTOOL, args).catch((error: unknown) => {
		const { stdout: out, stderr } = error as { stdout: string; stderr: string };
		throw new Error(out + stderr);
	});
	return stdout;
}

/** What is exported, by name, with its labels; of a node's with `node`, and of all with those that Prometheus adds. */
function exported(): ReadonlyMap<string, readonly string[]> {
	const gateway = new GatewayMetrics();
	gateway.certificateExpires(0);
	const worker = new WorkerMetrics(() => []);
	worker.unenforced([]);
	worker.disk("/");
	worker.missing(() => 0);
	const found = new Map<string, readonly string[]>();
	for (const { registry } of [gateway, worker])
		for (const metric of registry.getMetricsAsArray()) {
			const { name, type, labelNames = [] } = metric as typeof metric & { type: string; labelNames?: readonly string[] };
			const labels = [...labelNames, "instance", "job", ...(registry === worker.registry ? ["node"] : [])];
			const names = type === "histogram" ? ["_bucket", "_sum", "_count"].map((end) => name + end) : [name];
			for (const one of names) found.set(one, type === "histogram" ? [...labels, "le"] : labels);
		}
	return found;
}

const metrics = exported();

/** What a query names that isn't there: metrics, recording rules, and labels in its selectors and groupings. */
function absentIn(query: string): readonly string[] {
	const words = query.replace(/"[^"]*"/g, '""');
	const names = matchesOf(words, /\b(berth[_:][a-zA-Z0-9_:]+)/g);
	const absent = names.filter((name) => !metrics.has(name) && !recorded.includes(name));
	const selected = [...words.matchAll(/\b(berth_[a-z0-9_]+)\{([^}]*)\}/g)].flatMap(([, name = "", matchers = ""]) =>
		matchesOf(matchers, /([a-z_]+) ?[=!]/g)
			.filter((label) => !metrics.get(name)?.includes(label))
			.map((label) => `${name}{${label}}`),
	);
	const all = new Set(names.flatMap((name) => metrics.get(name) ?? []));
	const isOfRules = names.some((name) => recorded.includes(name));
	const grouped = matchesOf(words, /\bby \(([^)]*)\)/g).flatMap((list) => list.split(", "));
	return [...absent, ...selected, ...(isOfRules ? [] : grouped.filter((label) => !all.has(label)))];
}

test("promtool takes the rules, and their tests hold", { timeout: 90_000 }, async () => {
	expect(await promtool("check", "rules", RULES)).toContain(`${recorded.length + alerts.length} rules found`);
	await promtool("test", "rules", TESTS);
	await promtool("check", "config", "--syntax-only", join(ROOT, "infra/prometheus/prometheus.yml"));
});

test("each alert is tried to be silent and to fire", () => {
	const tests = readFileSync(TESTS, "utf8");
	for (const alert of alerts) {
		expect(tests).toContain(`- { alertname: ${alert}, eval_time: 90m }`);
		expect(tests).toMatch(new RegExp(`- alertname: ${alert}\n +eval_time: \\S+\n +exp_alerts:\n +- exp_labels`));
	}
});

test("each alert has a section that says what to do, a row with its severity, and no section is without one", () => {
	const page = readFileSync(join(ROOT, "docs/operating.md"), "utf8");
	expect(matchesOf(page, /^### (Berth[A-Za-z]+)$/gm)).toEqual(alerts);
	const severities = matchesOf(rules, /severity: (\w+)/g);
	const rows = alerts.map((alert, i) => `| [${alert}](#${alert.toLowerCase()}) | ${severities[i]} |`);
	expect(rows.filter((row) => !page.includes(row))).toEqual([]);
	expect(matchesOf(rules, /runbook: docs\/operating\.md#(\S+)/g)).toEqual(alerts.map((alert) => alert.toLowerCase()));
});

test.each([
	["the rules", rulesExpressions, 30],
	["the dashboard", queries, 30],
] as const)("every query of %s names metrics and labels that exist", (_of, expressions, least) => {
	expect(expressions.length).toBeGreaterThan(least);
	expect(expressions.flatMap(absentIn)).toEqual([]);
});

test("what a query names that isn't there is found", () => {
	expect(absentIn("sum(rate(berth_lost_total[5m]))")).toEqual(["berth_lost_total"]);
	expect(absentIn('berth_queue_depth{colour="red"}')).toEqual(["berth_queue_depth{colour}"]);
	expect(absentIn("max by (node) (berth_queue_depth)")).toEqual(["node"]);
	expect(absentIn("berth:nothing:rate5m")).toEqual(["berth:nothing:rate5m"]);
});

test("Prometheus parses every query of the dashboard", { timeout: 90_000 }, async () => {
	const directory = mkdtempSync(join(tmpdir(), "berth-queries-"));
	try {
		const path = join(directory, "queries.yml");
		const check = async (expressions: readonly string[]) => {
			const list = expressions.map((expr, i) => ({ record: `query:${i}`, expr: expr.replaceAll("$node", ".*") }));
			writeFileSync(path, JSON.stringify({ groups: [{ name: "queries", rules: list }] }));
			return await promtool("check", "rules", path);
		};
		expect(await check(queries)).toContain(`${queries.length} rules found`);
		await expect(check(["sum(rate(berth_accepted_total[5m])"])).rejects.toThrow("parse error");
	} finally {
		rmSync(directory, { recursive: true });
	}
});
