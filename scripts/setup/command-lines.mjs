import util from "node:util";

const PORTS = 65_535;
const HELP = { help: { type: "boolean", short: "h", default: false } };

export const QUICKSTART_OPTIONS = {
	...HELP,
	/** Stop after the tour, and leave nothing behind. */
	once: { type: "boolean", default: false },
	port: { type: "string" },
	data: { type: "string" },
};
const BENCH_SWITCH = { type: "boolean", default: false };
export const BENCH_OPTIONS = {
	...HELP,
	quick: BENCH_SWITCH,
	dependencies: BENCH_SWITCH,
	background: BENCH_SWITCH,
	invoking: BENCH_SWITCH,
	neighbours: BENCH_SWITCH,
	nodes: BENCH_SWITCH,
	overload: BENCH_SWITCH,
	persistence: BENCH_SWITCH,
	scale: BENCH_SWITCH,
	streams: BENCH_SWITCH,
	out: { type: "string" },
};

export const WEAKENED_OPTIONS = {
	...HELP,
	only: { type: "string", multiple: true },
	write: { type: "boolean", default: false },
	json: { type: "boolean", default: false },
};

/** What each verb takes (without `options`: anything, for vitest), and what it says about itself. */
const COMMAND_LINES = {
	setup: {
		options: HELP,
		help: `Usage: npm run setup

Installs what isn't there yet: packages of the distribution and of npm, the
pinned Node and the runtimes of functions. Then it builds.`,
	},
	quickstart: {
		options: QUICKSTART_OPTIONS,
		help: `Usage: npm run quickstart [-- options]

Sets everything up, starts the stack, deploys a function, invokes it, measures
cold starts against warm ones, and stays up until Ctrl-C. As root.

  --once         stop after that, and leave nothing behind
  --port <port>  port of the gateway; 0 is any (default 8080; with --once 0)
  --data <dir>   data directory (default /var/lib/berth; with --once a new one)`,
	},
	test: {
		help: `Usage: npm test [-- arguments of vitest]

Sets everything up, then runs every test of the ordinary suite. As root.

  npm test -- --project docs   a suite: unit, unit-apart (a process for each
                               file), docs; shared (on stacks that others
                               used before), apart (on their own)
  npm test -- packages/queue   a place
  npx vitest --help            what else vitest takes`,
	},
	"test:long": {
		help: `Usage: npm run test:long [-- arguments of vitest]

Sets everything up, then runs what the ordinary suite has no time for. As root.`,
	},
	"faults:long": {
		help: `Usage: npm run faults:long [-- arguments of vitest]

Sets everything up, then does faults to a cluster under load, until 100,000
invocations were acknowledged and 200 processes killed, and holds what clients
saw against what is promised. A line for each round; faults-results.json has
what all came to, faults-results.md has it for people, and of a round in which a
promise was broken faults-results.round-<n>.json has all that was seen. As root.

  TEST_MINUTES=<n>  ends by then, with what there was
  TEST_SEED=<n>     the faults and the load of a run that said this seed
  TEST_ROUND=<n>    with it: from this round on; where faults-results.json ends
                    before that round, what it has counts`,
	},
	"test:cgroup2": {
		help: `Usage: npm run test:cgroup2 [-- arguments of vitest]

Sets everything up, then runs what depends on cgroups in an emulated machine
with cgroup v2 alone, and in one each with v1 alone and with v2 as a container
sees it. What is skipped counts as failed. As root, on x64.`,
	},
	"test:weakened": {
		options: WEAKENED_OPTIONS,
		help: `Usage: npm run test:weakened [-- options]

Sets everything up, then takes each protection away in turn, in a copy of the
project, and tries the attacks that it holds there: each has to get through,
while others are contained. Half an hour on two cores. As root.

  --only <name>  this protection, or "one + another" for those of which each
                 would do alone; may be said several times
  --write        write docs/weakened.md, of what each came to when it was run
  --json         all that was seen, on standard output`,
	},
	bench: {
		options: BENCH_OPTIONS,
		help: `Usage: npm run bench [-- options]

Sets everything up, then measures every figure that SPECIFICATION.md promises,
on a stack of its own. As root.

  --quick         fewer rounds, for a first look
  --dependencies  only what dependencies cost: its rows, and no file
  --background    only what a backlog costs others: its rows, and no file
  --invoking      only what a function pays that invokes another one
  --neighbours    only what one tenant's hostile load does to another
  --nodes         only what more nodes are good for, on a cluster of its own
  --overload      only what ten times too much does: its rows, and no file
  --persistence   only what appendfsync always and everysec cost
  --scale         only what 10,000 functions cost, and what Redis does
  --streams       only streams, and who goes away: its rows, and no file
  --out <file>    for everything that was measured (default bench-results.json)`,
	},
};

/**
 * Looks at a verb's arguments before anything is installed for it.
 * @param {string} verb
 * @param {readonly string[]} args
 * @returns {{text: string, wrong: boolean} | undefined} what there is to say instead of going on
 */
export function refusal(verb, args) {
	const { options, help } = COMMAND_LINES[verb];
	if (args.includes("--help") || args.includes("-h")) return { text: help, wrong: false };
	// parseArgs is there from Node 18.3 on; where nothing is said there is nothing to be wrong.
	if (options === undefined || args.length === 0) return undefined;
	try {
		const { port } = util.parseArgs({ args, options }).values;
		if (port !== undefined && !(/^\d+$/.test(port) && Number(port) <= PORTS))
			throw new Error(`--port is "${port}": a number from 0 to ${PORTS}`);
		return undefined;
	} catch (error) {
		// What parseArgs adds about positional arguments doesn't help.
		return { text: `${error.message.split(". ")[0]}\n\n${help}`, wrong: true };
	}
}
