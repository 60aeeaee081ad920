import { globSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Where stacks of one run find the bases that the first one made: below where their data directories are, so that files can have second names. */
process.env["TEST_BASES"] ??= `/var/lib/berth-test-bases-${process.pid}`;
/** Where what Node compiles of the command line is kept for its next command: a fifth of what each takes, and there are 600. */
process.env["TEST_CODE"] = join(import.meta.dirname, "node_modules/.cache/berth-code");
rmSync(process.env["TEST_CODE"], { recursive: true, force: true });

const MINUTE_MS = 60_000;

/** More files at a time than there are cores: three quarters of their time they wait. */
const ALONGSIDE = { maxWorkers: 4, sequence: { groupOrder: 0 } };

const filesOf = (pattern: string) => globSync(pattern).filter((path) => !path.endsWith(".long.test.ts"));

/** Tests that change what their process is, its user or V8's flags, or look at what it holds in memory: each such file has one to itself. Of these packages all, of those what mentions it. */
const CHANGING = /^packages\/(?:agents|launcher)\//;
const MAY_CHANGE = /^packages\/(?:queue|sandbox)\//;
const CHANGE = /\bvi\.|setFlagsFromString|memoryUsage/;
const PROCESS_TO_ITSELF = filesOf("packages/*/src/**/*.test.ts").filter(
	(path) => CHANGING.test(path) || (MAY_CHANGE.test(path) && CHANGE.test(readFileSync(path, "utf8"))),
);
/** The others' files have one after another in a process: what they import is read once, which halves what they cost. */
const IN_TURN = { isolate: false, exclude: ["**/node_modules/**", ...PROCESS_TO_ITSELF] };

/** Starts a stack for each of vitest's workers that asks for it. */
const SHARED_STACKS = ["test/harness/shared-stacks.ts"];
const RUNC_STACK = ["test/harness/runc-stack.ts"];
const DOCKER_STACK = ["test/harness/docker-stack.ts"];
/** What an OCI runtime has a hand in: how sandboxes end, what holds them, what they can reach. */
const RUNTIME_TESTS = ["test/{functional/{outcomes,limits,pool},security/{inside,system-calls}}.test.ts"];

/** What holds whatever engine makes the sandboxes. */
const ENGINE_TESTS = ["test/functional/{outcomes,limits,invocations}.test.ts"];

/** What drives a whole system: files that have a stack from the suite, one at a time each, and those that start stacks of their own. */
const SYSTEM = filesOf("test/{functional,security,faults}/**/*.test.ts");
const sharing = SYSTEM.filter((path) => readFileSync(path, "utf8").includes("sharedStack()"));
const apart = SYSTEM.filter((path) => !sharing.includes(path));

/** What takes longest of its suite begins first: nothing waits for one of these alone at the end. */
const LONG = new RegExp(
	`/(?:${[
		"matrix/(?:docker|runc)|cgroup2|conformance|engines|kills|images|restart|python-packages|stops|backup|dependencies|nodes|faults/redis",
		"leaks|aliases|cli|examples|image-repository|pool-settings",
		"slow-clients|bullmq/(?:lane|background|hand-back)|networks/networks|durable-memory|server-pair|outages|openapi-fuzz",
	].join("|")})\\.test\\.ts$`,
);
class LongFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
		const sorted = await super.sort(files);
		const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
		return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
	}
}

/**
 * Half of the time these wait: for a stack to be up or down again, for an engine, for a limit to be met. They change nothing of their process,
 * so that files have one after another in it, too: what each imports anew is half a second of CPU.
 */
const SEVERAL = { maxWorkers: 3, isolate: false };

/** A suite that drives a whole system: after the suites before it, one file at a time unless it is said otherwise. */
function wholeSystem(name: string, include: readonly string[], groupOrder: number, minutes: number, more: object = {}) {
	return {
		extends: true as const,
		test: {
			name,
			include: [...include],
			maxWorkers: 1,
			testTimeout: minutes * MINUTE_MS,
			// A stack that doesn't get ready says so after a minute; then it has to be cleared.
			hookTimeout: 3 * MINUTE_MS,
			sequence: { groupOrder },
			...more,
		},
	};
}

/** What depends on cgroups, in machines of their own: its core is a part of the ordinary suite. */
const CGROUP2_TESTS = ["test/functional/cgroup2.test.ts", "test/long/cgroup2.long.test.ts"];
const withCgroup2 = process.env["TEST_CGROUP2"] === "1";

/** What takes longer than the ordinary suite may is there only when it is asked for: `npm run test:long`. */
const withLong = process.env["TEST_LONG"] === "1";

export default defineConfig({
	cacheDir: "node_modules/.cache/vite",
	test: {
		// A condition that is awaited, not a speed that is asserted.
		expect: { poll: { timeout: 10_000 } },
		globalSetup: ["test/harness/kept-bases.ts"],
		setupFiles: ["test/harness/seeded.ts"],
		sequence: { sequencer: LongFirst },
		projects: [
			{ extends: true, test: { name: "unit", include: ["packages/*/src/**/*.test.ts"], testTimeout: 20_000, ...ALONGSIDE, ...IN_TURN } },
			{ extends: true, test: { name: "unit-apart", include: PROCESS_TO_ITSELF, testTimeout: 20_000, ...ALONGSIDE } },
			{ extends: true, test: { name: "docs", include: ["test/docs/**/*.test.ts"], testTimeout: 20_000, ...ALONGSIDE, isolate: false } },
			wholeSystem("shared", sharing, 1, 2, { globalSetup: SHARED_STACKS, ...SEVERAL }),
			wholeSystem("apart", apart, 1, 2, SEVERAL),
			...(withCgroup2 ? [wholeSystem("cgroup2", CGROUP2_TESTS, 2, 60)] : []),
			...(withLong
				? [
						wholeSystem("long", ["test/**/*.long.test.ts"], 2, 60),
						wholeSystem("long-runc", RUNTIME_TESTS, 3, 1, { globalSetup: RUNC_STACK }),
						wholeSystem("long-docker", ENGINE_TESTS, 4, 2, { globalSetup: DOCKER_STACK }),
					]
				: []),
		],
	},
});
