// What a change must pass besides the tests: `npm run verify`, or some of it: `npm run verify -- types biome`.
import { checkCycles } from "./verify/cycles.mjs";
import { checkDirection } from "./verify/direction.mjs";
import { checkWith } from "./verify/programs.mjs";

const MOST_LINES = 100;

const CHECKS = {
	types: { about: "TypeScript, tests too", run: () => [...checkWith("tsc", "-b"), ...checkWith("tsc", "-p", "tsconfig.tests.json")] },
	biome: { about: "format and lint", run: () => checkWith("biome", "check", "--error-on-warnings", "--max-diagnostics=200") },
	direction: { about: "who imports whom", run: checkDirection },
	cycles: { about: "files that import in a circle", run: checkCycles },
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
		const problems = CHECKS[name].run();
		return { name, problems, seconds: (performance.now() - beganAt) / 1000 };
	});
	for (const { name, problems } of results) if (problems.length > 0) console.error(`── ${name}\n${shortened(problems).join("\n")}\n`);
	for (const { name, problems, seconds } of results) {
		console.log(`${problems.length === 0 ? "ok    " : "FAILED"}  ${name.padEnd(10)} ${CHECKS[name].about} (${seconds.toFixed(1)} s)`);
	}
	return results.every(({ problems }) => problems.length === 0) ? 0 : 1;
}

/** What is beyond the first screens is for a second run. */
function shortened(lines) {
	return lines.length <= MOST_LINES ? lines : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} lines more`];
}

process.exitCode = main(process.argv.slice(2));
