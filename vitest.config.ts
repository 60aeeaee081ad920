import { defineConfig } from "vitest/config";

const MINUTE_MS = 60_000;
const LONG = "test/**/*.long.test.ts";

/** Starts one stack for all files of a suite. */
const SHARED_STACK = ["test/harness/shared-stack.ts"];
const RUNC_STACK = ["test/harness/runc-stack.ts"];
const DOCKER_STACK = ["test/harness/docker-stack.ts"];
/** What an OCI runtime has a hand in: how sandboxes end, what holds them, what they can reach. */
const RUNTIME_TESTS = "test/{functional/{outcomes,limits,pool},security/inside}.test.ts";

/** What holds whatever engine makes the sandboxes. */
const ENGINE_TESTS = "test/functional/{outcomes,limits,invocations}.test.ts";

/** A suite that drives a whole system: one file at a time, after the suites before it. */
function wholeSystem(name: string, include: string, groupOrder: number, minutes: number, globalSetup: string[] = []) {
	return {
		extends: true as const,
		test: {
			name,
			include: [include],
			exclude: include === LONG ? [] : [LONG],
			fileParallelism: false,
			globalSetup,
			testTimeout: minutes * MINUTE_MS,
			// A stack that doesn't get ready says so after a minute; then it has to be cleared.
			hookTimeout: 3 * MINUTE_MS,
			sequence: { groupOrder },
		},
	};
}

/** What takes longer than the ordinary suite may is there only when it is asked for: `npm run test:long`. */
const withLong = process.env["BERTH_TEST_LONG"] === "1";

export default defineConfig({
	cacheDir: "node_modules/.cache/vite",
	test: {
		// A condition that is awaited, not a speed that is asserted.
		expect: { poll: { timeout: 10_000 } },
		projects: [
			{ extends: true, test: { name: "unit", include: ["packages/*/src/**/*.test.ts"], testTimeout: 20_000, sequence: { groupOrder: 0 } } },
			{ extends: true, test: { name: "docs", include: ["test/docs/**/*.test.ts"], sequence: { groupOrder: 0 } } },
			wholeSystem("functional", "test/functional/**/*.test.ts", 1, 1, SHARED_STACK),
			wholeSystem("security", "test/security/**/*.test.ts", 2, 1, SHARED_STACK),
			wholeSystem("faults", "test/faults/**/*.test.ts", 3, 2),
			...(withLong
				? [
						wholeSystem("long", LONG, 4, 60),
						wholeSystem("long-runc", RUNTIME_TESTS, 5, 1, RUNC_STACK),
						wholeSystem("long-docker", ENGINE_TESTS, 6, 2, DOCKER_STACK),
					]
				: []),
		],
	},
});
