// From a bare machine to a script that runs on the pinned Node: `node scripts/bootstrap.mjs <verb> [args]`.
// Everything here and in setup/ runs on any Node from 18 on, with nothing installed: Node's own modules alone.
import { fileURLToPath } from "node:url";
import { build } from "./setup/build.mjs";
import { refusal } from "./setup/command-lines.mjs";
import { debianPackages, testPackages } from "./setup/debian-packages.mjs";
import { handOver } from "./setup/hand-over.mjs";
import { machine, root } from "./setup/machine.mjs";
import { npmPackages, runtimes } from "./setup/npm-packages.mjs";
import { SetupLog } from "./setup/setup-log.mjs";
import { explain, runSteps } from "./setup/steps.mjs";
import { runTests } from "./setup/test-run.mjs";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const SETUP = [machine, debianPackages, npmPackages, runtimes, build];

/** What comes after the set-up, with the arguments of the command line. @type {Record<string, {steps: readonly object[], run: (args: string[]) => Promise<number>}>} */
const VERBS = {
	setup: { steps: SETUP, run: async () => 0 },
	quickstart: { steps: [root, ...SETUP], run: (args) => handOver([at("./quickstart.mjs"), ...args]) },
	test: { steps: [root, ...SETUP, testPackages], run: (args) => runTests(args, "test") },
	"test:long": { steps: [root, ...SETUP, testPackages], run: (args) => runTests(args, "test:long") },
	"faults:long": { steps: [root, ...SETUP, testPackages], run: (args) => runTests(args, "faults:long") },
	"test:cgroup2": { steps: [root, ...SETUP, testPackages], run: (args) => runTests(args, "test:cgroup2") },
	"test:weakened": {
		steps: [root, ...SETUP, testPackages],
		// Node's way to leave types out of a source is called experimental by it.
		run: (args) => handOver(["--disable-warning=ExperimentalWarning", at("./weakened.mjs"), ...args]),
	},
	bench: { steps: [root, ...SETUP], run: (args) => handOver([at("./bench.mjs"), ...args]) },
};

async function main([name, ...args]) {
	const verb = VERBS[name];
	if (verb === undefined) {
		process.stderr.write(`usage: node scripts/bootstrap.mjs ${Object.keys(VERBS).join(" | ")} [arguments]\n`);
		return 2;
	}
	const refused = refusal(name, args);
	if (refused !== undefined) {
		process[refused.wrong ? "stderr" : "stdout"].write(`${refused.text}\n`);
		return refused.wrong ? 2 : 0;
	}
	const log = new SetupLog();
	try {
		await runSteps(verb.steps, log);
	} catch (error) {
		explain(error, log);
		return 1;
	} finally {
		log.settle();
	}
	return await verb.run(args);
}

process.exitCode = await main(process.argv.slice(2));
