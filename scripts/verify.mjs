// What a change must pass besides the tests: `npm run verify`, or some of it: `npm run verify -- types biome`.
import { checkCycles } from "./verify/cycles.mjs";
import { audit, checkPins } from "./verify/dependencies.mjs";
import { checkDirection } from "./verify/direction.mjs";
import { checkWith } from "./verify/programs.mjs";

const MOST_LINES = 100;

const CHECKS = {
	types: { about: "TypeScript, tests too", run: () => [...checkWith("tsc", "-b"), ...checkWith("tsc", "-p", "tsconfig.tests.json")] },
	biome: { about: "format and lint", run: () => checkWith("biome", "check", "--error-on-warnings", "--max-diagnostics=200") },
	direction: { about: "who imports whom", run: checkDirection },
	cycles: { about: "files that import in a circle", run: checkCycles },
	pins: { about: "dependencies are pinned, to npm's registry and by hash", run: checkPins },
	audit: { about: "no severe hole is known in a dependency", run: audit },
	knip: { about: "dead files, exports and dependencies", run: () => checkWith("knip", "--no-progress", "--no-config-hints") },
};

function main(asked) {
	const unknown = asked.filter((name) => CHECKS[name] === undefined);
	if (unknown.length > 0) {
		console.error(`There is no check ${unknown.join(", ")}. There are: ${Object.keys(CHECKS).join(", ")}`);
		return 2;
	}
	const names = asked.length > 0 ? asked : Object.keys(CHECKS);
	const results = names.map((name) => {
		const beganAt = performance.now();
		return { name, ...outcomeOf(CHECKS[name]), seconds: (performance.now() - beganAt) / 1000 };
	});
	for (const { name, problems } of results) if (problems.length > 0) console.error(`── ${name}\n${shortened(problems).join("\n")}\n`);
	for (const { name, problems, unasked, seconds } of results) {
		const word = problems.length > 0 ? "FAILED" : unasked === undefined ? "ok" : "UNKNOWN";
		console.log(
			`${word.padEnd(7)} ${name.padEnd(10)} ${CHECKS[name].about} (${seconds.toFixed(1)} s)${unasked === undefined ? "" : `: ${unasked}`}`,
		);
	}
	return results.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

/** A check gives its problems; one that has to ask somebody else may say why it couldn't. */
function outcomeOf(check) {
	const given = check.run();
	return Array.isArray(given) ? { problems: given } : given;
}

/** What is beyond the first screens is for a second run. */
function shortened(lines) {
	return lines.length <= MOST_LINES ? lines : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} lines more`];
}

process.exitCode = main(process.argv.slice(2));
