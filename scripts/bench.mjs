// Every figure that SPECIFICATION.md promises, measured in one run on a stack of its own: `npm run bench [-- --quick]`.
// Prints its table of targets and writes bench-results.json; `npm run bench:table` puts the table there.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "@berth/client";
import { PRESETS, runBench } from "@berth/loadtest";
import { backlogCosts, knownCosts } from "./bench/background.mjs";
import { coldStack } from "./bench/cold-stack.mjs";
import { neverReused, simultaneousStarts, sustainedMisses } from "./bench/cold-starts.mjs";
import { dependencyCosts, publishPackages } from "./bench/dependencies.mjs";
import { PackageRegistry } from "./bench/harness.mjs";
import { invokingCosts } from "./bench/invoking.mjs";
import { frozenMemory, prewarmedMemory } from "./bench/memory.mjs";
import { neighbourCosts } from "./bench/neighbours.mjs";
import { nodeCosts } from "./bench/nodes.mjs";
import { overloadCosts } from "./bench/overload.mjs";
import { persistenceCosts } from "./bench/persistence.mjs";
import { redeploys } from "./bench/redeploys.mjs";
import { BACKGROUND } from "./bench/rows/background.mjs";
import { DEPENDENCIES } from "./bench/rows/dependencies.mjs";
import { INVOKING } from "./bench/rows/invoking.mjs";
import { NEIGHBOURS } from "./bench/rows/neighbours.mjs";
import { NODES } from "./bench/rows/nodes.mjs";
import { OVERLOAD } from "./bench/rows/overload.mjs";
import { PERSISTENCE } from "./bench/rows/persistence.mjs";
import { SCALE } from "./bench/rows/scale.mjs";
import { STREAMS as STREAM_TARGETS } from "./bench/rows/streams.mjs";
import { rowsOf, tableOf } from "./bench/rows.mjs";
import { scaleCosts } from "./bench/scale.mjs";
import { FETCH, fetchHandlerOf, PYTHON } from "./bench/sources.mjs";
import { benchPart } from "./bench/specification.mjs";
import { streamCosts } from "./bench/streams.mjs";
import { volumeCosts } from "./bench/volumes.mjs";
import { BENCH_OPTIONS } from "./setup/command-lines.mjs";
import { ROOT } from "./setup/places.mjs";
import { Stack } from "./stack/stack.mjs";
import { stopSignal } from "./stack/stop-signal.mjs";

const KIB = 1024;
const DEPENDENCY_ROUNDS = 15;
const VOLUME_ROUNDS = 25;
const INVOKING_TURNS = 25;
const FLOOD_SECONDS = 15;
const [BACKLOG, QUICK_BACKLOG] = [100_000, 3000];
const STREAMS = { rounds: 200, aborts: 2000, seconds: 5 };
const QUICK_STREAMS = { rounds: 30, aborts: 200, seconds: 1 };
const SCALES = { functions: 10_000, invocations: 2000, background: 2000 };
const QUICK_SCALES = { functions: 200, invocations: 200, background: 200 };
const PERSISTED = { rounds: 5, alone: 300, together: 4000 };
const QUICK_PERSISTED = { rounds: 2, alone: 100, together: 500 };
const RESULTS = "bench-results.json";

/** What is measured alone when it is asked for by name. */
const PARTS = {
	dependencies: {
		measure: async ({ client, stack, registry, quick }) => ({
			dependencies: await dependencyCosts(client, stack, registry, quick ? 3 : DEPENDENCY_ROUNDS),
		}),
		targets: DEPENDENCIES,
	},
	invoking: {
		measure: async ({ client, quick }) => ({ invoking: await invokingCosts(client, quick ? 3 : INVOKING_TURNS) }),
		targets: INVOKING,
	},
	streams: {
		measure: async ({ client, stack, quick }) => ({ streams: await streamCosts(client, stack, quick ? QUICK_STREAMS : STREAMS) }),
		targets: STREAM_TARGETS,
	},
	background: {
		measure: async ({ client, stack, quick }) => ({
			backlog: await backlogCosts(client, stack, quick ? QUICK_BACKLOG : BACKLOG, quick ? 2 : FLOOD_SECONDS),
			known: await knownCosts(quick),
		}),
		targets: BACKGROUND,
	},
	scale: {
		measure: async ({ client, stack, quick, signal }) => ({
			coldStack: await coldStack(signal),
			scale: await scaleCosts(client, stack, quick ? QUICK_SCALES : SCALES),
		}),
		targets: SCALE,
	},
	persistence: {
		measure: async ({ client, stack, quick }) => ({
			persistence: await persistenceCosts(client, stack, quick ? QUICK_PERSISTED : PERSISTED),
		}),
		targets: PERSISTENCE,
	},
	overload: {
		measure: async ({ client, stack, quick, signal }) => ({
			overload: await overloadCosts(client, stack, quick ? 4 : FLOOD_SECONDS, signal),
		}),
		targets: OVERLOAD,
	},
	neighbours: {
		measure: async ({ client, stack, quick, signal }) => ({
			neighbours: await neighbourCosts(client, stack, quick ? 4 : FLOOD_SECONDS, signal),
		}),
		targets: NEIGHBOURS,
	},
};

async function main() {
	const { values } = parseArgs({ options: BENCH_OPTIONS });
	const out = values.out ?? join(ROOT, RESULTS);
	const signal = stopSignal();
	// On a cluster of its own.
	if (values.nodes) {
		process.stdout.write(`${tableOf(rowsOf({ nodes: await nodeCosts(values.quick, signal) }, NODES))}\n`);
		return;
	}
	await using registry = await PackageRegistry.open();
	publishPackages(registry);
	const stack = await Stack.start({ port: 0, env: { BERTH_LOG_LEVEL: "warn", BERTH_NPM_REGISTRY: registry.url }, signal });
	try {
		const part = Object.keys(PARTS).find((name) => values[name]);
		if (part !== undefined) {
			await using client = createClient({ url: stack.url, key: stack.key });
			const { measure, targets } = PARTS[part];
			const run = await measure({ client, stack, registry, quick: values.quick, signal });
			process.stdout.write(`${tableOf(rowsOf(run, targets))}\n`);
			return;
		}
		const measured = await measure(stack, registry, values.quick, signal);
		const results = { at: new Date().toISOString(), machine: measured.small.machine, rows: rowsOf(measured), measured };
		process.stdout.write(`\n${benchPart(results)}\n`);
		await writeFile(out, `${JSON.stringify(results, null, "\t")}\n`);
		process.stderr.write(`\nEverything that was measured is in ${out}\n`);
	} finally {
		await stack.stop();
	}
}

async function measure(stack, registry, quick, signal) {
	await using client = createClient({ url: stack.url, key: stack.key });
	const rounds = quick ? 5 : PRESETS.full.starts;
	const bench = (label, deploy, options = {}) =>
		runBench(
			{
				...PRESETS.full,
				url: stack.url,
				key: stack.key,
				subject: { kind: "source", deploy },
				payload: { name: "bench" },
				starts: rounds,
				load: undefined,
				floors: [],
				signal,
				...options,
			},
			stages(label),
		);
	const step = async (label, work) => {
		signal.throwIfAborted();
		process.stderr.write(`${label}\n`);
		return await work();
	};
	const load = quick ? { connections: 32, seconds: 3 } : PRESETS.full.load;
	const { floors, ...small } = await bench("1 KB", { source: FETCH }, { load, floors: PRESETS.full.floors });
	return {
		small,
		floors,
		medium: await bench("200 KB", { source: fetchHandlerOf(200 * KIB) }, { warmPerStart: 1 }),
		large: await bench("2 MB", { source: fetchHandlerOf(2048 * KIB) }, { warmPerStart: 1 }),
		uncached: await bench("2 MB without compile cache", { source: fetchHandlerOf(2048 * KIB), runtime: "node22" }, { warmPerStart: 1 }),
		internet: await bench("1 KB, network: internet", { source: FETCH, network: "internet" }, { warmPerStart: 1 }),
		volumes: await step("volumes", () => volumeCosts(client, quick ? 3 : VOLUME_ROUNDS)),
		misses: await step("sustained cold starts", () => sustainedMisses(client)),
		never: await step("reuse: never", () => neverReused(client, quick ? 2 : 5)),
		burst: await step("simultaneous cold starts", () => simultaneousStarts(client, quick ? 2 : 5)),
		idle: await step("memory, prewarmed", () => prewarmedMemory(client)),
		frozen: await step("memory, frozen", () =>
			frozenMemory(client, (index) => ({ source: `${FETCH}globalThis.berthBench = ${index};\n` })),
		),
		python: await bench("Python", PYTHON),
		pythonFrozen: await step("memory of Python, frozen", () =>
			frozenMemory(client, (index) => ({ ...PYTHON, source: `${PYTHON.source}# ${index}\n` })),
		),
		redeploy: await step("redeploys", () => redeploys(client, rounds)),
		...(await allOf(PARTS, (name, part) => step(name, () => part.measure({ client, stack, registry, quick, signal })))),
	};
}

/** What each part measured, one after the other. */
async function allOf(parts, measured) {
	const all = {};
	for (const [name, part] of Object.entries(parts)) Object.assign(all, await measured(name, part));
	return all;
}

/** Says each stage once. */
function stages(label) {
	let last;
	return ({ stage }) => {
		if (stage !== last) process.stderr.write(`${label}: ${stage}\n`);
		last = stage;
	};
}

try {
	await main();
} catch (error) {
	process.stderr.write(`\nbench failed: ${error.message === "stopped" ? "it was stopped" : error.stack}\n`);
	process.exitCode = 1;
}
