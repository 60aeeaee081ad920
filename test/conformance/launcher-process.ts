import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { OUTER_MOUNTS, SUPERVISED_ENVIRONMENT } from "@berth/config";
import { SERVICE_UID } from "./service-user.js";

/** What is to be started. */
export interface LauncherSpec {
	/** Its program. */
	readonly program: string;
	readonly dataDir: string;
	/** An OCI runtime's name, or a path. */
	readonly runtime: string;
	/** AppArmor's, for sandboxes. */
	readonly apparmorProfile?: string;
	/** A command, with its beginning `'…;`, that it is started in: what is other than usual. */
	readonly around?: string;
}

/** Its first line. */
export interface Ready {
	readonly ready: true;
	readonly removed: number;
	readonly cgroups: string;
	/** The platform's cgroup. */
	readonly platform: string;
	readonly runtime: string;
}

/** The directories that the supervisor makes for it and for the worker. */
export function makeDirectories(dataDir: string): void {
	for (const [name, uid, mode] of [
		["", 0, 0o711],
		["run", SERVICE_UID, 0o711],
		["run/a", SERVICE_UID, 0o711],
	] as const) {
		const path = join(dataDir, name);
		mkdirSync(path, { recursive: true, mode });
		chownSync(path, uid, uid);
	}
}

/** The launcher as the supervisor starts it: root, in a mount namespace of its own. */
export class LauncherProcess {
	readonly #child: ChildProcess;
	readonly ready: Ready;

	private constructor(child: ChildProcess, ready: Ready) {
		this.#child = child;
		this.ready = ready;
	}

	/** @throws Error with what it said when it gives up */
	static async start({ program, dataDir, runtime, apparmorProfile, around }: LauncherSpec): Promise<LauncherProcess> {
		const alone = "/usr/bin/setpriv --no-new-privs -- /usr/bin/unshare --mount --propagation private --";
		const start = `exec ${alone} ${process.execPath} ${program}`;
		const child = spawn("/usr/bin/sh", ["-c", around === undefined ? start : `${around} ${start}'`], {
			env: {
				...SUPERVISED_ENVIRONMENT,
				PATH: process.env["PATH"],
				BERTH_DATA_DIR: dataDir,
				BERTH_OCI_RUNTIME: runtime,
				...(apparmorProfile === undefined ? {} : { BERTH_APPARMOR_PROFILE: apparmorProfile }),
				[OUTER_MOUNTS]: readlinkSync("/proc/self/ns/mnt"),
			},
			stdio: ["pipe", "pipe", "pipe"],
		});
		const complaint = text(child.stderr);
		const [said] = (await Promise.race([once(createInterface({ input: child.stdout }), "line"), once(child, "exit")])) as [unknown];
		if (typeof said !== "string") throw new Error(await complaint);
		return new LauncherProcess(child, JSON.parse(said) as Ready);
	}

	/** @returns what it ended with: an exit code, or a signal */
	async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | string> {
		const ended = once(this.#child, "exit");
		this.#child.kill(signal);
		const [code, by] = (await ended) as [number | null, string | null];
		return code ?? by ?? "";
	}
}

/** Why a launcher that is started so gives up. @throws Error when it doesn't */
export async function refusalOf(spec: LauncherSpec): Promise<string> {
	let launcher: LauncherProcess;
	try {
		launcher = await LauncherProcess.start(spec);
	} catch (error) {
		const { message } = error as Error;
		// Node shows the source of the throw above it.
		return /^HostError: (.*)$/m.exec(message)?.[1] ?? message;
	}
	await launcher.end("SIGKILL");
	throw new Error("it started");
}
