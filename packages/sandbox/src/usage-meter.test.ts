import { MIB } from "@berth/contracts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prewarmLimitsOf } from "./boot-key.js";
import { CgroupReader } from "./cgroup-reader.js";
import { temporaryDirectory } from "./testing/directory.js";
import { FakeCgroup } from "./testing/fake-cgroup.js";
import { BASE } from "./testing/versions.js";
import { UsageMeter } from "./usage-meter.js";

const LIMITS = prewarmLimitsOf({ kind: "function", base: BASE, language: "node", memoryClass: 128, network: "none" });

const directory = temporaryDirectory();
let cgroup: FakeCgroup;
let reader: CgroupReader;
let meter: UsageMeter;
beforeEach(() => {
	cgroup = new FakeCgroup(directory.path);
	reader = new CgroupReader(cgroup.paths);
	meter = new UsageMeter(reader);
});
afterEach(() => reader.close());

test("an attempt is charged for its own CPU time, not for what ran before it", () => {
	cgroup.tell({ cpuUs: 5_000_000 });
	meter.begin();
	cgroup.tell({ cpuUs: 5_250_000, peakMemoryBytes: 64 * MIB, scratchBytes: 3 });
	expect(meter.end(LIMITS)).toEqual({ usage: { cpuMs: 250, peakMemoryBytes: 64 * MIB, scratchBytes: 3 }, limitsHit: [] });
});

test("CPU time is never less than none", () => {
	cgroup.tell({ cpuUs: 10 });
	meter.begin();
	cgroup.tell({ cpuUs: 9 });
	expect(meter.end(LIMITS).usage.cpuMs).toBe(0);
});

test("a fork that met the pids cap is told of the attempt in which it did, once", () => {
	meter.begin();
	cgroup.tell({ pidsRefused: 3 });
	expect(meter.end(LIMITS).limitsHit).toEqual(["pids"]);
	meter.begin();
	expect(meter.end(LIMITS).limitsHit).toEqual([]);
});

test("a process that was killed for memory is told; memory that was only used isn't", () => {
	meter.begin();
	cgroup.tell({ peakMemoryBytes: LIMITS.memoryBytes });
	expect(meter.end(LIMITS).limitsHit).toEqual([]);
	cgroup.tell({ oomKills: 1 });
	meter.begin();
	expect(meter.end(LIMITS).limitsHit).toEqual(["memory"]);
});

test("scratch that is full is told", () => {
	meter.begin();
	cgroup.tell({ scratchBytes: LIMITS.tmpfsBytes });
	expect(meter.end(LIMITS).limitsHit).toEqual(["scratch"]);
});

test("where /tmp can't be told from a sandbox's memory it isn't said to be full of that", () => {
	const blind = new UsageMeter(reader, false);
	blind.begin();
	cgroup.tell({ scratchBytes: LIMITS.tmpfsBytes });
	expect(blind.end(LIMITS)).toMatchObject({ usage: { scratchBytes: 0 }, limitsHit: [] });
});
