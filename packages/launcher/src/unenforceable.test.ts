import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { WAIVABLE_LIMITS, type WaivableLimit } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostError } from "./host-error.js";
import { unenforceable } from "./unenforceable.js";

let root: string;
beforeEach(async () => {
	root = await mkdtemp(join(tmpdir(), "berth-limits-"));
});
afterEach(() => rm(root, { recursive: true }));

const GOOD = {
	"cgroup.controllers": "cpu memory pids\n",
	"pids/cgroup.procs": "",
	"memory/memory.memsw.limit_in_bytes": "",
	meminfo: "MemTotal: 1 kB\nSwapTotal:   1024 kB\n",
	actions: "kill_process errno allow\n",
};

/** A kernel's files as they would be, but for some that are others, or not there. */
async function host(
	version: 1 | 2,
	other: Readonly<Partial<Record<keyof typeof GOOD, string | null>>>,
	allowed: readonly WaivableLimit[] = [],
) {
	for (const [name, text] of Object.entries({ ...GOOD, ...other })) {
		if (text === null) continue;
		await mkdir(dirname(join(root, name)), { recursive: true });
		await writeFile(join(root, name), text);
	}
	return unenforceable(version, allowed, { cgroups: root, meminfo: join(root, "meminfo"), filterActions: join(root, "actions") });
}

const LACKS = [
	["swap", 1, { "memory/memory.memsw.limit_in_bytes": null }, /swapaccount=1/],
	["pids", 1, { "pids/cgroup.procs": null }, /\/sys\/fs\/cgroup\/pids/],
	["pids", 2, { "cgroup.controllers": "cpu memory\n" }, /CONFIG_CGROUP_PIDS/],
	["seccomp", 1, { actions: null }, /CONFIG_SECCOMP_FILTER/],
	["seccomp", 2, { actions: "kill_process allow\n" }, /CONFIG_SECCOMP_FILTER/],
] as const;

describe("a host", () => {
	test("that can enforce everything lacks nothing, whatever its operator would do without", async () => {
		expect([await host(1, {}), await host(2, {}), await host(1, {}, WAIVABLE_LIMITS)]).toEqual([[], [], []]);
	});

	test.each(LACKS)(
		"that can't enforce %s on cgroup v%i is refused: what it keeps from, how to mend it, how to do without",
		async (limit, version, lack, mend) => {
			const error = await host(version, lack).catch((reason: unknown) => reason);
			expect(error).toBeInstanceOf(HostError);
			expect(String(error)).toMatch(mend);
			expect(String(error)).toMatch(new RegExp(`keeps a function from .*--insecure-allow=${limit}\\b`));
			const others = WAIVABLE_LIMITS.filter((each) => each !== limit);
			await expect(host(version, lack, others)).rejects.toThrow(HostError);
		},
	);

	test.each(LACKS)("whose operator does without %s on cgroup v%i says that it lacks it", async (limit, version, lack) => {
		expect(await host(version, lack, [limit])).toEqual([limit]);
	});

	test("that doesn't swap needs no count of it", async () => {
		expect(await host(1, { "memory/memory.memsw.limit_in_bytes": null, meminfo: "SwapTotal: 0 kB\n" })).toEqual([]);
	});
});
