import { userSettings } from "@berth/config";
import { runCommandLine } from "./program.js";
import { codeOf } from "./system-errors.js";
import { Terminal } from "./terminal.js";

// A reader that has seen enough (`berth list | head`) is no failure.
process.stdout.on("error", (error) => {
	if (codeOf(error) !== "EPIPE") throw error;
	process.exit();
});

const user = userSettings();
const terminal = new Terminal(process.stdout, process.stderr, user.noColour);
process.exitCode = await runCommandLine(process.argv.slice(2), { terminal, user, stdin: process.stdin });
