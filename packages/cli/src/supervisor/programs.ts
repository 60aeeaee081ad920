import { existsSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { childEnvironment, LISTEN_FDS, OUTER_MOUNTS, type Settings } from "@berth/config";
import { MINUTE_MS, SECOND_MS } from "@berth/contracts";
import type { ChildSpec } from "./child.js";
import { confineLauncher, confineService } from "./confinement.js";
import type { Obstacle } from "./obstacle.js";

/** The entry of each process of the stack. */
export interface Programs {
	readonly prepare: string;
	readonly launcher: string;
	/** The launcher where a Docker Engine makes the sandboxes. */
	readonly besideDocker: string;
	readonly worker: string;
	readonly gateway: string;
}

/** The programs of this checkout: found by place, since nothing of them is imported here. */
export function ownPrograms(): Programs {
	const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
	return {
		prepare: at("worker/dist/programs/prepare.js"),
		launcher: at("launcher/dist/programs/main.js"),
		besideDocker: at("launcher/dist/programs/beside-docker.js"),
		worker: at("worker/dist/programs/main.js"),
		gateway: at("gateway/dist/programs/main.js"),
	};
}

/** What a build that broke off hasn't made of them, as far as this machine has need of it. */
export function unbuiltObstacle(programs: Programs, { roles, engine }: Pick<Settings, "roles" | "engine">): Obstacle | undefined {
	const ofWorker = ["prepare", engine === "docker" ? "besideDocker" : "launcher", "worker"] as const;
	const needed = [...(roles.includes("worker") ? ofWorker : []), ...(roles.includes("gateway") ? (["gateway"] as const) : [])];
	const missing = needed.map((name) => programs[name]).find((path) => !existsSync(path));
	return missing === undefined ? undefined : { what: `${missing} isn't there, which a build makes`, mend: "run `npm run build`" };
}

/** A worker that starts for the first time has the bases unpacked, which takes a slow disk minutes. */
const READY_MS = 5 * MINUTE_MS;
const PREPARE_MS = 10 * MINUTE_MS;
/** A worker finishes what it runs, a gateway what it answers. */
const DRAIN_MS = 15 * SECOND_MS;
const STOP_MS = 10 * SECOND_MS;
/** A gateway beside which another one has begun hurries nobody. */
export const RETIRE_MS = 90 * SECOND_MS;
/** Of what a child is given beside its standard streams. */
const FIRST_FD = 3;
/** How many descriptors of its socket a gateway is given: it accepts one connection of each in a round of its event loop. */
const LISTENERS = 8;

/** The one-shot that makes the base images, as root, before anything serves. */
export function prepareSpec(programs: Programs, settings: Settings, progress: (text: string) => void): ChildSpec {
	return { ...nodeSpec("prepare", programs.prepare, settings), readiness: "exit", readyTimeoutMs: PREPARE_MS, progress };
}

/** The launcher has a mount namespace of its own: what it mounts is seen by its sandboxes, and goes with it. Beside a Docker Engine it is the Engine that has to see it. */
export function launcherSpec(programs: Programs, settings: Settings): ChildSpec {
	if (settings.engine === "docker") return confineLauncher(nodeSpec("launcher", programs.besideDocker, settings));
	const spec = nodeSpec("launcher", programs.launcher, settings);
	return confineLauncher({
		...spec,
		command: "unshare",
		args: ["--mount", "--propagation", "private", "--", spec.command, ...spec.args],
		env: { ...spec.env, [OUTER_MOUNTS]: readlinkSync("/proc/self/ns/mnt") },
	});
}

/** The one-shots, in their order, that remove what processes of their names which were killed have left: sandboxes, and what is held for them. */
export function removalSpecs(programs: Programs, settings: Settings): readonly ChildSpec[] {
	const keepers = settings.engine === "docker" ? [workerSpec, launcherSpec] : [launcherSpec];
	return keepers
		.map((specOf) => specOf(programs, settings))
		.map((spec) => ({ ...spec, args: [...spec.args, "--remove-leftovers"], readiness: "exit" }));
}

export function workerSpec(programs: Programs, settings: Settings): ChildSpec {
	const spec = nodeSpec("worker", programs.worker, settings);
	// It fetches from the package registry, which may have a certificate that this system alone trusts.
	return confineService({ ...spec, args: ["--use-system-ca", ...spec.args], stopGraceMs: DRAIN_MS, retireSignal: "SIGUSR2" });
}

/** @param listenFd of the socket that it is to listen on */
export function gatewaySpec(programs: Programs, settings: Settings, listenFd: number): ChildSpec {
	const spec = nodeSpec("gateway", programs.gateway, settings);
	const fds = Array.from({ length: LISTENERS }, () => listenFd);
	const env = { ...spec.env, [LISTEN_FDS]: fds.map((_, at) => FIRST_FD + at).join() };
	return confineService({ ...spec, env, fds, stopGraceMs: settings.gatewayDrainMs + DRAIN_MS, retireSignal: "SIGUSR2" });
}

function nodeSpec(name: string, entry: string, settings: Settings): ChildSpec {
	return {
		name,
		command: process.execPath,
		args: [entry],
		env: childEnvironment(settings),
		readiness: "line",
		readyTimeoutMs: READY_MS,
		stopGraceMs: STOP_MS,
		logs: settings.paths.logs,
	};
}
