import { rmSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CgroupReader } from "./cgroup-reader.js";
import { ONE_PROCESS } from "./container-spec.js";
import { CpuClaim } from "./cpu-claim.js";
import { CpuShares } from "./cpu-shares.js";
import { temporaryDirectory } from "./testing/directory.js";
import { FakeCgroup } from "./testing/fake-cgroup.js";
import { Weight } from "./weight.js";

const directory = temporaryDirectory();
beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
	vi.useRealTimers();
});

describe.each([1, 2] as const)("the claim of a sandbox, cgroup v%i", (version) => {
	const ONE = ONE_PROCESS[version];
	const [LIGHT, HEAVY] = [4 * ONE, ONE / 2];
	let cgroup: FakeCgroup;
	let reader: CgroupReader;
	let claim: CpuClaim;
	let shares: CpuShares;
	beforeEach(() => {
		cgroup = new FakeCgroup(directory.path, version);
		cgroup.tell({ cpuUs: 0 });
		reader = new CgroupReader(cgroup.paths);
		shares = new CpuShares(2);
		claim = new CpuClaim(reader, new Weight(cgroup.weightFile, version), shares);
		claim.loads("mine");
		claim.rest();
	});
	afterEach(() => {
		claim.close();
		reader.close();
	});

	/** A run of so much CPU time, which takes as long. */
	function run(ms: number): void {
		const fromUs = reader.cpuUs();
		claim.begin(fromUs);
		vi.advanceTimersByTime(ms);
		cgroup.tell({ cpuUs: fromUs + ms * 1000 });
		claim.rest();
	}

	test("is as it was for one that runs shortly now and then, and its file isn't written", () => {
		const written = statSync(cgroup.weightFile).mtimeMs;
		for (let n = 0; n < 20; n++) {
			run(1);
			vi.advanceTimersByTime(30);
		}
		expect([cgroup.weight, statSync(cgroup.weightFile).mtimeMs]).toEqual([LIGHT, written]);
	});

	test("falls with runs that use much, and comes back by the next one after a rest", () => {
		run(15);
		run(15);
		expect(cgroup.weight).toBe(LIGHT);
		run(15);
		expect(cgroup.weight).toBe(HEAVY);
		vi.advanceTimersByTime(1000);
		run(1);
		expect(cgroup.weight).toBe(LIGHT);
	});

	test("falls while a run goes on, and comes back when that only sleeps", () => {
		claim.begin(0);
		cgroup.tell({ cpuUs: 19_000 });
		vi.advanceTimersByTime(20);
		expect(cgroup.weight).toBe(LIGHT);
		cgroup.tell({ cpuUs: 119_000 });
		vi.advanceTimersByTime(100);
		expect(cgroup.weight).toBe(HEAVY);
		vi.advanceTimersByTime(1100);
		expect(cgroup.weight).toBe(LIGHT);
	});

	test("falls while a module is loaded that computes, and is shared as in a run", () => {
		claim.loads("mine");
		shares.add("mine", "heavy");
		shares.add("mine", "heavy");
		cgroup.tell({ cpuUs: 60_000 });
		vi.advanceTimersByTime(20);
		expect(cgroup.weight).toBe(HEAVY / 2);
		claim.rest();
		expect(shares.heavy("mine")).toBe(1 / 2);
	});

	test("isn't looked at when nothing runs, and keeps no timer", () => {
		run(1);
		vi.advanceTimersByTime(20);
		cgroup.tell({ cpuUs: 500_000 });
		expect(vi.getTimerCount()).toBe(0);
		expect(cgroup.weight).toBe(LIGHT);
	});

	test("ends with the cgroup, even if that goes while it is looked at", () => {
		claim.begin(0);
		reader.close();
		rmSync(cgroup.paths.cpu, { recursive: true });
		vi.advanceTimersByTime(20);
		expect(vi.getTimerCount()).toBe(0);
	});

	test("is shared with those of its project that use much at the same time, and by all projects that do", () => {
		for (let n = 0; n < 3; n++) shares.add("mine", "heavy");
		claim.begin(0);
		cgroup.tell({ cpuUs: 100_000 });
		vi.advanceTimersByTime(20);
		expect(cgroup.weight).toBe(HEAVY / 2);
		for (let n = 0; n < 40; n++) shares.add("another", "heavy");
		vi.advanceTimersByTime(100);
		expect(cgroup.weight).toBe(Math.floor(HEAVY / 4));
		for (let n = 0; n < 3; n++) shares.remove("mine", "heavy");
		vi.advanceTimersByTime(100);
		expect(cgroup.weight).toBe(HEAVY);
		for (let n = 0; n < 40; n++) shares.remove("another", "heavy");
		vi.advanceTimersByTime(100);
		expect(cgroup.weight).toBe(HEAVY);
	});

	test("counts as what it is while something of it goes on, and not when it rests or is gone", () => {
		const seen = () => [shares.light, shares.heavy("mine")];
		for (let n = 0; n < 7; n++) shares.add("other", "light");
		for (let n = 0; n < 3; n++) shares.add("mine", "heavy");
		const without = seen();
		claim.begin(reader.cpuUs());
		expect(seen()).toEqual([1, 1 / 3]);
		cgroup.tell({ cpuUs: 100_000 });
		vi.advanceTimersByTime(20);
		expect(seen()).toEqual([without[0], 1 / 4]);
		claim.rest();
		expect(seen()).toEqual(without);
		claim.begin(reader.cpuUs());
		expect(seen()).toEqual([without[0], 1 / 4]);
		claim.close();
		expect(seen()).toEqual(without);
	});

	test("is none after a boot, which took more than that, and there once it has rested", () => {
		const booted = new FakeCgroup(`${directory.path}/booted`, version);
		booted.tell({ cpuUs: 50_000 });
		using cleanup = new DisposableStack();
		const ofBooted = cleanup.adopt(new CgroupReader(booted.paths), (each) => each.close());
		const its = cleanup.adopt(new CpuClaim(ofBooted, new Weight(booted.weightFile, version), shares), (each) => each.close());
		its.see();
		expect(booted.weight).toBe(ONE / 4);
		vi.advanceTimersByTime(1000);
		its.see();
		expect(booted.weight).toBe(LIGHT);
	});
});
