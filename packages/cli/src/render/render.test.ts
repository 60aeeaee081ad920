import { PassThrough } from "node:stream";
import { manifestSchema, type NodeStats, problemOf } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { Terminal } from "../terminal.js";
import { benchProgress } from "./bench-progress.js";
import { deployedText } from "./deployed.js";
import { diagnosticText } from "./diagnostics.js";
import { examinationText } from "./examination.js";
import { nodeNotes, nodesText } from "./nodes.js";
import { problemText } from "./problem.js";
import { statsText } from "./stats.js";
import { cutTo, tableOf } from "./table.js";
import { ageText, bytesText, durationText } from "./units.js";

const stderr = new PassThrough();
const terminal = new Terminal(new PassThrough(), stderr, true);

/** A terminal whose stderr is one, and everything it was sent. */
function redrawing() {
	const errors = Object.assign(new PassThrough(), { isTTY: true });
	return { terminal: new Terminal(new PassThrough(), errors, true), sent: () => String(errors.read() ?? "") };
}

test("a version that is backed off, and whoever asks too often, are told once when to come back", () => {
	const failing = problemOf("function_failing", "it crashed 5 times in a row", [], { retryAfterMs: 4000 });
	expect(problemText(failing, terminal)).toContain("Try again in 4");
	const limited = problemOf("rate_limited", "shop may make 5 requests a second; try again in 200 ms", [], { retryAfterMs: 200 });
	expect(problemText(limited, terminal).match(/try again/gi)).toHaveLength(1);
});

test("a version that came back from its image alone has no build to show", () => {
	const digest = `sha256:${"0".repeat(64)}` as const;
	const version = {
		project: "default",
		function: "hello",
		number: 1,
		state: "ready",
		manifest: manifestSchema.parse({}),
		source: { digest, kind: "file", sizeBytes: 1 },
		build: { durationMs: 0, phases: {}, layers: [], warnings: [] },
		image: { digest, base: { digest, layers: [] }, layers: [], entry: "index.cjs" },
		createdAt: "2026-01-01T00:00:00.000Z",
	} as const;
	const lines = deployedText({ version, unchanged: true }, "http://localhost/").split("\n");
	expect(deployedText({ version: { ...version, project: "shop" }, unchanged: true }, "http://localhost/")).toContain(
		"berth --project shop invoke ",
	);
	const live = { ...{ name: "live", weights: { 1: 100 }, follows: false }, updatedAt: version.createdAt };
	const stayed = deployedText({ version: { ...version, project: "shop", number: 2 }, unchanged: false, live }, "http://localhost/");
	expect(stayed).toContain("`berth --project shop alias set hello live v2`");
	expect(lines.map((line) => line.trim().split(" ", 1)[0])).toEqual(["hello", "version", "image", "url", "invoke"]);
});

describe("units", () => {
	test("bytes, durations and ages have as many digits as matter", () => {
		expect([512, 1536, 45 * 2 ** 20, 1.5 * 2 ** 30].map(bytesText)).toEqual(["512 B", "1.5 KiB", "45 MiB", "1.5 GiB"]);
		expect([0.2512, 12.4, 3120, 65_000].map(durationText)).toEqual(["0.25 ms", "12 ms", "3.1 s", "1m 5s"]);
		expect([0, 999, 185_000, 7_200_000, 90_000_000].map(ageText)).toEqual(["0s", "0s", "3m 5s", "2h", "1d 1h"]);
	});
});

test("a table is as wide as its widest cell, and nothing trails", () => {
	const rows = [
		{ name: "a", count: 5 },
		{ name: "long", count: 100 },
	];
	const text = tableOf(rows, [
		{ heading: "NAME", cell: (row) => row.name },
		{ heading: "N", cell: (row) => String(row.count), align: "right" },
	]);
	expect(text).toBe("NAME    N\na       5\nlong  100");
});

test("a row has one line, whatever is said in it, and is cut where the terminal ends", () => {
	const text = tableOf(["a.ts:1:1: no\n\n\x1b[2Jb.ts:2:2: neither"], [{ heading: "FAILURE", cell: (row) => row }]);
	expect(text).toBe("FAILURE\na.ts:1:1: no [2Jb.ts:2:2: neither");
	expect(cutTo(12, text)).toBe("FAILURE\na.ts:1:1: n…");
	expect(cutTo(80, text)).toBe(text);
});

describe("a diagnostic", () => {
	test("shows place, line and a mark below the column, also after tabs", () => {
		const text = diagnosticText(
			{ severity: "error", message: "Unexpected ;", file: "a.ts", line: 2, column: 3, lineText: "\t\t;" },
			terminal,
		);
		expect(text).toBe("a.ts:2:3: error: Unexpected ;\n    2 | \t\t;\n      | \t\t^");
	});

	test("without a place is its message", () => {
		expect(diagnosticText({ severity: "warning", message: "hm" }, terminal)).toBe("warning: hm");
	});
});

describe("a problem", () => {
	const stack = "TypeError: no\n    at f (shop.ts:3:1)\n    at node:internal/x:1:1\n    at Agent.take (/berth/agent.cjs:9:9)";

	test("shows a function's own frames; all of them to those who ask", () => {
		const problem = problemOf("handler_error", "TypeError: no", [], { error: { name: "TypeError", message: "no", stack } });
		expect(problemText(problem, terminal)).toContain("shop.ts:3:1");
		expect(problemText(problem, terminal)).not.toContain("agent.cjs");
		expect(problemText(problem, terminal, { verbose: true })).toContain("agent.cjs");
	});

	test("doesn't point to a stack where there is none", () => {
		const error = { name: "Error", message: "null was thrown" };
		expect(problemText(problemOf("handler_error", "null was thrown", [], { error }), terminal)).not.toContain("names the line");
		const withStack = { name: "TypeError", message: "no", stack };
		expect(problemText(problemOf("handler_error", "no", [], { error: withStack }), terminal)).toContain("names the line");
	});

	test("says a thing once: not as detail, issue and diagnostic", () => {
		const diagnostics = [{ severity: "error", message: "Unexpected ;", file: "a.ts", line: 1, column: 1, lineText: ";" }];
		const issues = [{ field: "a.ts:1:1", message: "Unexpected ;" }];
		const text = problemText(problemOf("build_failed", "a.ts:1:1: Unexpected ;", issues, { diagnostics }), terminal);
		expect(text.match(/Unexpected ;/g)).toHaveLength(1);
		expect(text).toContain("    1 | ;");
	});

	test("names the field that is wrong, else has the detail, and says what to do", () => {
		const issues = [{ field: "memoryMiB", message: "64 to 4096" }];
		expect(problemText(problemOf("invalid_manifest", "memoryMiB: 64 to 4096", issues), terminal)).toMatch(/\n {2}memoryMiB: 64 to 4096$/);
		expect(problemText(problemOf("function_not_found", "no hello"), terminal)).toMatch(/\n {2}no hello\n`berth list`/);
	});

	test("ends with the log's last lines, and says how many there were", () => {
		const logs = Array.from({ length: 12 }, (_, index) => ({ atMs: index, stream: "stdout" as const, text: `line ${index}` }));
		const text = problemText(problemOf("crashed", "it ended"), terminal, { logs });
		expect(text).toContain("the last 10 of 12 lines");
		expect(text).toContain("line 11");
		expect(text).not.toContain("line 1\n");
	});
});

test("stats leave out what is zero, and give a rate once there are two looks", () => {
	const node: NodeStats = {
		node: "node_1",
		startedAt: new Date(0).toISOString(),
		sandboxes: { booting: 0, prewarmed: 4, specialising: 0, busy: 0, warm: 0, frozen: 1, retiring: 0 },
		invocations: { succeeded: 30 },
		starts: { boot: 0, prewarmed: 2, warm: 28 },
		builds: { started: 1, bundled: 1, layersReused: 2 },
		memoryBytes: 2 ** 20,
		memoryBudgetBytes: 2 ** 30,
		waiting: 0,
		failing: 0,
	};
	const before = { nodes: [{ ...node, invocations: { succeeded: 10 } }], elapsedMs: 2000 };
	const text = statsText([node], 5000, before);
	expect(text).toContain("sandboxes    5: 4 prewarmed, 1 frozen");
	expect(text).toContain("30: 30 succeeded, 10/s now");
	expect(statsText([node], 5000)).not.toContain("/s now");
	expect(text).not.toContain("INSECURE");
	expect(statsText([{ ...node, unenforced: ["pids", "swap"] }], 5000)).toContain("INSECURE     not enforced: pids, swap");
});

describe("an examination", () => {
	const checks = [
		{ name: "root", status: "ok", found: "This is root." },
		{ name: "swap", status: "warning", found: "It swaps.", mend: "swapoff -a" },
	] as const;

	test("has a line a check, how to mend it below, and the sum", () => {
		expect(examinationText({ ok: true, checks, enforced: [] }, terminal)).toBe(
			"ok       root  This is root.\nwarning  swap  It swaps.\n               → swapoff -a\n\nEverything that is needed is there, with 1 warning.",
		);
	});

	test("has a table of what is enforced by what, and of what isn't", () => {
		const enforced = [
			{ limit: "CPU", by: "cpu.max", isEnforced: true },
			{ limit: "tasks", by: "no pids.", isEnforced: false },
		];
		const text = examinationText({ ok: true, checks, enforced }, terminal);
		expect(text).toContain("by what:\n  CPU    cpu.max\n  tasks  NOT ENFORCED: no pids.\n\n");
	});

	test("says how many failed", () => {
		const broken = [...checks, { name: "cgroups", status: "failed", found: "None.", mend: "mount" } as const];
		expect(examinationText({ ok: false, checks: broken, enforced: [] }, terminal)).toContain("1 of 3 checks failed.");
	});
});

describe("a bench's progress", () => {
	const steps = [
		{ stage: "boot starts", done: 0, total: 2 },
		{ stage: "boot starts", done: 1, total: 2 },
		{ stage: "open loop", done: 2, total: 3 },
	];

	test("is a line a stage where nothing can be redrawn", () => {
		const progress = benchProgress(terminal);
		steps.forEach(progress);
		expect(String(stderr.read())).toBe("boot starts\nopen loop\n");
	});

	test("is one line drawn again on a terminal, gone before the result", () => {
		const { terminal: screen, sent } = redrawing();
		steps.slice(0, 2).forEach(benchProgress(screen));
		expect(sent()).toBe("\r\x1b[Kboot starts … 0/2\r\x1b[Kboot starts … 1/2");
		screen.print("table");
		expect(sent()).toBe("\r\x1b[K");
		screen.print("more");
		expect(sent()).toBe("");
	});
});

test("nodes are listed with what they hold, and one that is gone says how", () => {
	const load = { memoryMiB: 2048, heldMiB: 512, sandboxes: 3, running: 1, mostRunning: 8, warm: ["p/f:1"] };
	const a = {
		id: "node_a",
		host: "alpha",
		state: "ready",
		startedAt: "2026-11-26T10:00:00Z",
		release: "0.1.0",
		engine: "oci",
		cores: 2,
		load,
	} as const;
	const b = {
		id: "node_b",
		state: "lost",
		startedAt: "2026-11-26T10:00:00Z",
		goneAt: "2026-11-26T10:59:00Z",
		labels: { zone: "b" },
	} as const;
	const list = {
		nodes: [{ ...a, runtimeClasses: ["runsc"] as const }, b],
		gateways: [{ id: "gw_a", startedAt: a.startedAt, address: "10.0.0.1:8081" }],
	};
	const [heading = "", first, second, , gateways] = nodesText(list, Date.parse("2026-11-26T11:00:00Z")).split("\n");
	expect(heading).toContain("SANDBOXES  RUNNING  WARM  ENGINE");
	expect(first).toMatch(/^node_a {2}alpha {2}ready +1h ago +2 {2}512 MiB of 2 GiB +3 +1 of 8 +1 {2}oci\+runsc {2}0\.1\.0 +-$/);
	expect(second).toMatch(/^node_b {2}- +lost 1m ago {2}.* zone=b$/);
	expect(gateways).toBe("1 gateway: gw_a at 10.0.0.1:8081");
	expect(nodeNotes(list.nodes)).toEqual([expect.stringContaining("node_b is lost: its lease ended")]);
	expect(nodesText({ nodes: [], gateways: [] }, 0)).toContain("No node is up");
});
