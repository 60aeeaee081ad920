import type { UserSettings } from "@berth/config";
import { RELEASE } from "@berth/contracts";
import { Command, CommanderError } from "commander";
import { registerAlias } from "./commands/alias.js";
import { registerAudit } from "./commands/audit.js";
import { registerBackup } from "./commands/backup.js";
import { registerBench } from "./commands/bench.js";
import { registerBuildLog } from "./commands/build-log.js";
import { registerCallback } from "./commands/callback.js";
import { registerDeploy } from "./commands/deploy.js";
import { registerDoctor } from "./commands/doctor.js";
import { registerDown } from "./commands/down.js";
import { registerDrain } from "./commands/drain.js";
import { registerEvents } from "./commands/events.js";
import { registerHooks } from "./commands/hooks/hooks.js";
import { registerImage } from "./commands/image.js";
import { registerInspect } from "./commands/inspect.js";
import { registerDeadLetters } from "./commands/invocations/dead-letters.js";
import { registerInvocations } from "./commands/invocations/invocations.js";
import { registerInvoke } from "./commands/invoke.js";
import { registerKey } from "./commands/key.js";
import { registerKill } from "./commands/kill.js";
import { registerList } from "./commands/list.js";
import { registerLogs } from "./commands/logs.js";
import { registerNetwork } from "./commands/network.js";
import { registerNodes } from "./commands/nodes.js";
import { registerPause } from "./commands/pause.js";
import { registerProject } from "./commands/project.js";
import { registerPs } from "./commands/ps.js";
import { registerRebase } from "./commands/rebase.js";
import { registerRecover } from "./commands/recover.js";
import { registerRegistry } from "./commands/registry.js";
import { registerRestart } from "./commands/restart.js";
import { registerRm } from "./commands/rm.js";
import { registerRollback } from "./commands/rollback.js";
import { registerSchedules } from "./commands/schedules/schedules.js";
import { registerSecret } from "./commands/secret.js";
import { registerStats } from "./commands/stats.js";
import { registerUp } from "./commands/up.js";
import { registerVersions } from "./commands/versions.js";
import { registerVolume } from "./commands/volume.js";
import { CommandFailure, EXIT, type ExitCode } from "./exit-codes.js";
import { reportFailure } from "./failures.js";
import { parseText } from "./input/text.js";
import type { Registrar } from "./registrar.js";
import { type GlobalOptions, Session } from "./session.js";
import type { Terminal } from "./terminal.js";

/** What a run of the command line has to do with: no command reaches for the process itself. */
export interface Surroundings {
	readonly terminal: Terminal;
	readonly user: UserSettings;
	readonly stdin: NodeJS.ReadableStream;
}

const COMMANDS = [
	registerUp,
	registerDown,
	registerRestart,
	registerDeploy,
	registerInvoke,
	registerInvocations,
	registerDeadLetters,
	registerList,
	registerVersions,
	registerBuildLog,
	registerInspect,
	registerAlias,
	registerRollback,
	registerRebase,
	registerLogs,
	registerEvents,
	registerRm,
	registerHooks,
	registerSchedules,
	registerCallback,
	registerNetwork,
	registerSecret,
	registerVolume,
	registerKey,
	registerProject,
	registerAudit,
	registerImage,
	registerRegistry,
	registerRecover,
	registerBackup,
	registerPause,
	registerNodes,
	registerDrain,
	registerPs,
	registerStats,
	registerKill,
	registerBench,
	registerDoctor,
];

/** Runs one command line. Never rejects: what goes wrong is said on the terminal. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
	let exitCode: ExitCode = EXIT.ok;
	const program = new Command("berth");
	const registrar: Registrar = {
		program,
		stdin: surroundings.stdin,
		action:
			(act) =>
			async (...given: unknown[]) => {
				const command = given.at(-1) as Command;
				await using session = new Session(surroundings.terminal, surroundings.user, program.opts<GlobalOptions>());
				try {
					refuseEmpty(command);
					exitCode = await act(session, command.opts(), ...command.processedArgs);
				} catch (error) {
					exitCode = reportFailure(error, surroundings.terminal, session);
				}
			},
	};
	// A command line that isn't understood may not have been read that far.
	const json = args.includes("--json");
	describe(program, surroundings.terminal, json);
	for (const register of COMMANDS) register(registrar);
	try {
		await program.parseAsync([...args], { from: "user" });
		return exitCode;
	} catch (error) {
		if (!(error instanceof CommanderError)) return reportFailure(error, surroundings.terminal, { json, verbose: false });
		if (error.exitCode === 0) return EXIT.ok;
		return json ? reportFailure(misuse(error), surroundings.terminal, { json, verbose: false }) : EXIT.usage;
	}
}

/** An unset variable of a script's (`berth rm "$NAME"`) isn't meant as a name. @throws CommandFailure */
function refuseEmpty({ args, registeredArguments }: Command): void {
	const at = args.indexOf("");
	const argument = registeredArguments[Math.min(at, registeredArguments.length - 1)];
	if (argument !== undefined && at >= 0) throw new CommandFailure(EXIT.usage, `<${argument.name()}> is empty`);
}

/** What commander says about a command line, without its prefix. */
function misuse({ code, message }: CommanderError): CommandFailure {
	return new CommandFailure(EXIT.usage, code === "commander.help" ? "a command is wanted" : message.replace(/^error: /, ""));
}

function describe(program: Command, terminal: Terminal, json: boolean): void {
	program
		.description("Functions over HTTP, each invocation in a pooled, capped sandbox.")
		.version(RELEASE, "-V, --version")
		.option("--url <url>", "gateway to talk to (BERTH_URL; default: this machine's stack)", parseText)
		.option("--key <key>", "API key (BERTH_API_KEY; default: this machine's stack's, as root)", parseText)
		.option("--project <name>", "project that it is about, for the operator's key (BERTH_PROJECT)", parseText)
		.option("--ca-file <file>", "certificates of issuers to trust with https, PEM (BERTH_CA_FILE; default: the system's)", parseText)
		.option("--data <dir>", "data directory of this machine's stack (BERTH_DATA_DIR; default: /var/lib/berth)", parseText)
		.option("--json", "print one JSON document, for programs")
		.option("-v, --verbose", "say what is asked over HTTP")
		.configureHelp({ showGlobalOptions: true })
		.configureOutput({ writeOut: (text) => terminal.write(text), writeErr: (text) => json || terminal.note(text.trimEnd()) })
		.showHelpAfterError("(--help says more)")
		.addHelpText("after", "\nExit codes: 0 done, 1 it failed, 2 wrong usage, 3 no gateway answers or it\nrefuses the key, 130 interrupted.")
		.exitOverride();
}
