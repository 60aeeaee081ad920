import { resolve } from "node:path";
import { WAIVABLE_LIMITS } from "@berth/contracts";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { parseCount } from "../input/sizes.js";
import { parseText } from "../input/text.js";
import type { Registrar } from "../registrar.js";
import { pairsOf } from "../render/table.js";
import type { Session } from "../session.js";
import type { StackReady } from "../supervisor/supervisor.js";

interface UpOptions {
	readonly detach?: boolean;
	readonly port?: number;
	readonly host?: string;
	readonly insecureAllow?: string;
	readonly tlsCert?: string;
	readonly tlsKey?: string;
	readonly roles?: string;
}

const MOST_PORT = 65_535;

/** What those settings are called here. */
const FLAGS = {
	BERTH_PORT: "--port",
	BERTH_HOST: "--host",
	BERTH_INSECURE_ALLOW: "--insecure-allow",
	BERTH_TLS_CERT: "--tls-cert",
	BERTH_TLS_KEY: "--tls-key",
	BERTH_ROLES: "--roles",
} as const;

const HELP = `
Everything of one machine: two Redis servers on unix sockets, launcher, worker
and gateway. It stays in the foreground until Ctrl-C, or returns when the stack
is ready with --detach. Your API key is shown once, at the first start; root's
own command line finds it by itself. Should admin.key get lost, the next start
makes a new one. Settings come from BERTH_* variables (docs/settings.md).

Examples:
  berth up
  berth up --detach --port 9000 --data /srv/berth
  berth up --detach --json | jq -r .key`;

/** `berth up` */
export function registerUp({ program, action }: Registrar): void {
	program
		.command("up")
		.description("start the stack of this machine")
		.option("--detach", "return when it is ready, and leave it running")
		.option("--port <port>", "port of the gateway; 0 takes a free one (BERTH_PORT; default: 8080)", parseCount(0, MOST_PORT))
		.option("--host <address>", "address it listens on (BERTH_HOST; default: 127.0.0.1)", parseText)
		.option(
			"--insecure-allow <limits>",
			`start although this host can't enforce these limits of sandboxes: ${WAIVABLE_LIMITS.join(", ")}, with commas between (BERTH_INSECURE_ALLOW)`,
			parseText,
		)
		.option("--tls-cert <file>", "certificate that it speaks TLS with, PEM (BERTH_TLS_CERT; default: plain HTTP)", parseText)
		.option(
			"--roles <roles>",
			"what this machine is of the stack: gateway, worker, or both with a comma between (BERTH_ROLES; default: both)",
			parseText,
		)
		.option("--tls-key <file>", "its key (BERTH_TLS_KEY)", parseText)
		.addHelpText("after", HELP)
		.action(action((session: Session, options: UpOptions) => up(session, options)));
}

async function up(session: Session, options: UpOptions): Promise<ExitCode> {
	if (process.getuid?.() !== 0)
		throw new CommandFailure(EXIT.failed, "the stack is started by root, since sandboxes need mounts and cgroups: sudo berth up");
	const given = {
		...(options.port === undefined ? {} : { BERTH_PORT: String(options.port) }),
		...(options.host === undefined ? {} : { BERTH_HOST: options.host }),
		...(options.insecureAllow === undefined ? {} : { BERTH_INSECURE_ALLOW: options.insecureAllow }),
		...(options.roles === undefined ? {} : { BERTH_ROLES: options.roles }),
		...(options.tlsCert === undefined ? {} : { BERTH_TLS_CERT: resolve(options.tlsCert) }),
		...(options.tlsKey === undefined ? {} : { BERTH_TLS_KEY: resolve(options.tlsKey) }),
	};
	const settings = session.settings(given, FLAGS);
	const say = (text: string) => session.terminal.note(text);
	if (options.detach === true) {
		const { startDetached } = await import("../supervisor/detached.js");
		announce(session, await startDetached(settings, say), true);
		return EXIT.ok;
	}
	const { Supervisor } = await import("../supervisor/supervisor.js");
	const { stoppedBySignal } = await import("../supervisor/signals.js");
	const { ServiceManager } = await import("../supervisor/service-manager.js");
	const manager = new ServiceManager(say);
	const supervisor = new Supervisor(settings, say);
	const stopped = stoppedBySignal(supervisor, (text) => {
		say(text);
		void manager.tell("STOPPING=1");
	});
	const ready = await supervisor.start();
	announce(session, ready, false);
	await manager.tell("--ready", `--status=${ready.url ?? "worker"}`);
	await stopped;
	return EXIT.ok;
}

function announce({ terminal, json }: Session, ready: StackReady, detached: boolean): void {
	if (json) {
		terminal.json(ready);
		return;
	}
	terminal.print(
		`Berth is up.\n${pairsOf(
			[
				...(ready.url === null ? [] : [["url", ready.url] as const]),
				...(ready.node === null ? [] : [["node", ready.node] as const]),
				["data", ready.dataDir],
				["pid", String(ready.pid)],
			],
			"  ",
		)}`,
	);
	if (ready.key !== null) terminal.print(`  key   ${ready.key}\n\nThis is your API key. It is shown this once: keep it.`);
	terminal.note(detached ? "`berth down` stops it." : "Ctrl-C stops it.");
}
