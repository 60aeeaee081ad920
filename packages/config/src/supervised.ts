import { SECOND_MS } from "@berth/contracts";

/** Set by the supervisor for its children: their standard input is a pipe that it holds. */
export const SUPERVISED = "BERTH_SUPERVISED";

/** What the supervisor tells a child beside its settings. */
export const SUPERVISED_ENVIRONMENT = { [SUPERVISED]: "1" } as const;

/** Set by the supervisor for the launcher: the mount namespace that it is in itself, and the launcher mustn't be. */
export const OUTER_MOUNTS = "BERTH_OUTER_MOUNTS";

/** What the supervisor has said of it, as `/proc/self/ns/mnt` has it; undefined where nobody has. */
export function outerMounts(env: Readonly<Record<string, string | undefined>> = process.env): string | undefined {
	return env[OUTER_MOUNTS];
}

/** Set by the supervisor for a gateway: descriptors, all of the socket that it is to listen on, which the supervisor keeps open. */
export const LISTEN_FDS = "BERTH_LISTEN_FDS";

/** What the supervisor has opened; none where nobody has. */
export function listenFds(env: Readonly<Record<string, string | undefined>> = process.env): readonly number[] {
	return env[LISTEN_FDS]?.split(",").map(Number) ?? [];
}

/** The socket on which systemd hears of a service that it started with `Type=notify` (sd_notify(3)); undefined where it wants to hear nothing. */
export function notifySocket(env: Readonly<Record<string, string | undefined>> = process.env): string | undefined {
	return env["NOTIFY_SOCKET"] || undefined;
}

/** What `exitWithParent` needs of a stream; `process.stdin` has it. */
interface Lifeline {
	once(event: "end" | "close" | "error", listener: () => void): unknown;
	resume(): unknown;
	unref?(): unknown;
}

/**
 * Ends this process when its supervisor is gone, however it went. A supervised process has a pipe as its stdin that
 * the supervisor holds open and never writes to: when it ends, `stop` is called, once, and the process leaves at the
 * latest `graceMs` after that. Does nothing in a process that isn't supervised.
 *
 * @param stop what SIGTERM does too: take nothing more, finish, exit
 * @param graceMs milliseconds that `stop` may take; default 5,000
 */
export function exitWithParent(
	stop: () => unknown,
	graceMs = 5 * SECOND_MS,
	env: Readonly<Record<string, string | undefined>> = process.env,
	lifeline: Lifeline = process.stdin,
): void {
	if (env[SUPERVISED] !== "1") return;
	let ended = false;
	const end = () => {
		if (ended) return;
		ended = true;
		setTimeout(() => process.exit(1), graceMs).unref();
		stop();
	};
	for (const event of ["end", "close", "error"] as const) lifeline.once(event, end);
	lifeline.resume();
	// The pipe alone keeps no process alive that has finished.
	lifeline.unref?.();
}
