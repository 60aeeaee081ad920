import { globSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

/** Where stacks of one run find the bases that the first one made: below where their data directories are, so that files can have second names. */
process.env["TEST_BASES"] = `/var/lib/berth-test-bases-${process.pid}`;

const MINUTE_MS = 60_000;

/** More files at a time than there are cores: three quarters of their time they wait. */
const ALONGSIDE = { maxWorkers: 4, sequence: { groupOrder: 0 } };

/** Starts one stack for all files of a suite. */
const SHARED_STACK = ["test/harness/shared-stack.ts"];
const RUNC_STACK = ["test/harness/runc-stack.ts"];
const DOCKER_STACK = ["test/harness/docker-stack.ts"];
/** What an OCI runtime has a hand in: how sandboxes end, what holds them, what they can reach. */
const RUNTIME_TESTS = ["test/{functional/{outcomes,limits,pool},security/inside}.test.ts"];

/** What holds whatever engine makes the sandboxes. */
const ENGINE_TESTS = ["test/functional/{outcomes,limits,invocations}.test.ts"];

const filesOf = (pattern: string) => globSync(pattern).filter((path) => !path.endsWith(".long.test.ts"));
/** Those whose files all talk to one stack. */
const sharing = (pattern: string) => filesOf(pattern).filter((path) => readFileSync(path, "utf8").includes("sharedStack()"));
/** Those whose files each start a stack of their own. */
const apart = (pattern: string) => filesOf(pattern).filter((path) => !sharing(pattern).includes(path));

/**
 * Files that talk to the shared stack and look at nothing there but what they have deployed themselves: no totals, floors, directories, no process
 * of it that they kill. Whatever isn't named here has its stack for itself.
 */
const BESIDE_OTHERS = [
	"aliases",
	"background",
	"bad-input",
	"custom",
	"deploys",
	"engines",
	"examples",
	"handlers",
	"image-functions",
	"native-dependencies",
	"store",
];
const besideOthers = BESIDE_OTHERS.map((name) => `test/functional/${name}.test.ts`);
const oneAtATime = (pattern: string) => sharing(pattern).filter((path) => !besideOthers.includes(path));

/** Half of the time these wait: for a stack to be up or down again, for an engine, for a limit to be met. */
const SEVERAL = { maxWorkers: 3 };

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

/** What takes longer than the ordinary suite may is there only when it is asked for: `npm run test:long`. */
const withLong = process.env["TEST_LONG"] === "1";

export default defineConfig({
	cacheDir: "node_modules/.cache/vite",
	test: {
		// A condition that is awaited, not a speed that is asserted.
		expect: { poll: { timeout: 10_000 } },
		globalSetup: ["test/harness/kept-bases.ts"],
		projects: [
			{ extends: true, test: { name: "unit", include: ["packages/*/src/**/*.test.ts"], testTimeout: 20_000, ...ALONGSIDE } },
			{ extends: true, test: { name: "docs", include: ["test/docs/**/*.test.ts"], ...ALONGSIDE } },
			wholeSystem("functional", oneAtATime("test/functional/**/*.test.ts"), 1, 1, { globalSetup: SHARED_STACK }),
			wholeSystem("security", sharing("test/security/**/*.test.ts"), 2, 1, { globalSetup: SHARED_STACK }),
			wholeSystem("beside", besideOthers, 3, 2, { globalSetup: SHARED_STACK, ...SEVERAL }),
			wholeSystem("apart", apart("test/{functional,security,faults}/**/*.test.ts"), 3, 2, SEVERAL),
			...(withLong
				? [
						wholeSystem("long", ["test/**/*.long.test.ts"], 4, 60),
						wholeSystem("long-runc", RUNTIME_TESTS, 5, 1, { globalSetup: RUNC_STACK }),
						wholeSystem("long-docker", ENGINE_TESTS, 6, 2, { globalSetup: DOCKER_STACK }),
					]
				: []),
		],
	},
});
