import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { processEnvironment, type Settings } from "@berth/config";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { hearStops } from "../interruption.js";
import { prepareDirectories } from "./directories.js";
import { logPath, openLog, tailOfLog } from "./log-file.js";
import { requireNone } from "./obstacle.js";
import { preflight } from "./preflight.js";
import { ownPrograms, unbuiltObstacle } from "./programs.js";
import type { StackReady } from "./supervisor.js";

/** What a detached supervisor tells the command that started it. */
export type DetachedMessage =
	| { readonly kind: "progress"; readonly text: string }
	| { readonly kind: "ready"; readonly ready: StackReady }
	| { readonly kind: "failed"; readonly message: string; readonly exitCode: ExitCode };

/** Beside this one, as they are built (scripts/bundle.mjs). */
const PROGRAM = fileURLToPath(new URL("./supervisor.js", import.meta.url));
const LOG = "supervisor";
const LOG_TAIL = 15;

/** Starts a supervisor that outlives this process, and waits until its stack is ready. @throws CommandFailure */
export async function startDetached(settings: Settings, say: (text: string) => void): Promise<StackReady> {
	requireNone(unbuiltObstacle(ownPrograms(), settings));
	// The supervisor says the rest again, into its log, too.
	await preflight(settings, () => undefined, say);
	await prepareDirectories(settings);
	const { logs } = settings.paths;
	await using log = await openLog(logs, LOG);
	const { size } = await log.stat();
	const child = spawn(process.execPath, [PROGRAM], {
		env: processEnvironment(settings),
		cwd: "/",
		detached: true,
		stdio: ["ignore", log.fd, log.fd, "ipc"],
	});
	using _ = hearStops(() => child.kill("SIGTERM"));
	try {
		return await new Promise<StackReady>((resolve, reject) => {
			child.once("error", reject);
			child.on("message", (message: DetachedMessage) => {
				if (message.kind === "progress") say(message.text);
				else if (message.kind === "ready") resolve(message.ready);
				else reject(new CommandFailure(message.exitCode, message.message));
			});
			child.once("exit", async () => {
				const tail = await tailOfLog(logs, LOG, LOG_TAIL, size);
				reject(
					new CommandFailure(
						EXIT.failed,
						`the supervisor ended before the stack was ready. ${logPath(logs, LOG)} ends:\n${tail.join("\n")}`,
					),
				);
			});
		});
	} finally {
		if (child.connected) child.disconnect();
		child.removeAllListeners().on("error", () => undefined);
		child.unref();
	}
}
