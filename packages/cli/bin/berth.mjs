#!/usr/bin/env -S node --
// Without the -- Node would look for its own --env-file in the arguments of `berth deploy`.
// Plain JavaScript for any Node from 18 on: finds a Node that can run the command line, and runs it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";

const NEEDED = [22, 19];
const USAGE = 2;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const script = at("./berth.mjs");
const main = new URL("../dist/programs/main.js", import.meta.url);
const pinned = at("../../../node_modules/.bin/node");

function recentEnough() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

function refuse(message) {
	process.stderr.write(`berth: ${message}\n`);
	process.exitCode = USAGE;
}

/** Runs this very command on the pinned Node, hands signals on, and ends as it ends. */
function runOn(node) {
	const child = spawn(node, ["--", script, ...process.argv.slice(2)], { stdio: "inherit" });
	// A terminal sends SIGINT to both; the others come to this process alone.
	process.on("SIGINT", () => undefined);
	for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
	child.on("error", (error) => refuse(`${node} doesn't start: ${error.message}`));
	child.on("exit", (code, signal) => {
		process.exitCode = code ?? 128 + constants.signals[signal];
		process.exit();
	});
}

if (!existsSync(main)) refuse("it isn't built yet: run `npm run setup` first");
else if (recentEnough()) await import(main.href);
else if (existsSync(pinned)) runOn(pinned);
else refuse(`Node ${NEEDED.join(".")} or newer is needed, this is ${process.versions.node}: run \`npm run setup\` first`);
