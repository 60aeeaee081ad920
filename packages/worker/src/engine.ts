import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { dockerfilesMissing, type Settings } from "@berth/config";
import { SANDBOX_RESOLVER } from "@berth/contracts";
import { DockerBuilds, DockerEngine, OciEngine, type SandboxEngine } from "@berth/sandbox";

const LAUNCHER_WAIT_MS = 10_000;

/** Connects to what makes sandboxes on this node, as the settings name it. @throws Error when it can't be had */
export async function openEngine(settings: Settings, node: string): Promise<SandboxEngine> {
	await launcherListens(settings);
	return settings.engine === "docker" ? await connectToDocker(settings, node) : await OciEngine.connect(settings.paths.launcherSocket);
}

/** What builds Dockerfiles on this node; undefined where none may be built. @throws Error when the Docker Engine can't be had */
export async function openDockerBuilds(settings: Settings, node: string): Promise<DockerBuilds | undefined> {
	if (dockerfilesMissing(settings) !== undefined) return undefined;
	return await DockerBuilds.open({ socketPath: settings.dockerSocket, node, isOnline: settings.dockerBuilds === "online" });
}

/**
 * The groups a worker has to stay in: that of the Docker Engine's socket. Being in it is as good as being root.
 * @throws Error when there is no such socket, or it is root's alone
 */
export function groupsFor({ engine, dockerSocket }: Settings): readonly number[] {
	if (engine !== "docker") return [];
	const { gid } = statSync(dockerSocket);
	if (gid === 0)
		throw new Error(`${dockerSocket} belongs to the group root, which no worker is put into: start dockerd with --group docker`);
	return [gid];
}

/** Removes the sandboxes that a worker which was killed has left, where no launcher does. */
export async function removeLeftovers({ engine, dockerSocket }: Settings, node: string): Promise<void> {
	if (engine === "docker") await DockerEngine.removeLeftovers({ socketPath: dockerSocket, node });
}

function connectToDocker(settings: Settings, node: string): Promise<DockerEngine> {
	const { dockerSocket, sandboxUidBase, allowsHostNetwork, apparmorProfile, paths } = settings;
	const resolvConf = join(paths.run, "resolv.conf");
	writeFileSync(resolvConf, `nameserver ${SANDBOX_RESOLVER}\n`, { mode: 0o644 });
	return DockerEngine.connect({
		socketPath: dockerSocket,
		node,
		agentSockets: paths.agentSockets,
		uidBase: sandboxUidBase,
		allowsHostNetwork,
		launcherSocket: paths.launcherSocket,
		resolvConf,
		apparmorProfile,
	});
}

/** The launcher may be a moment behind: it removes what an earlier one left before it listens. */
async function launcherListens({ paths: { launcherSocket } }: Settings): Promise<void> {
	for (const giveUpAt = performance.now() + LAUNCHER_WAIT_MS; ; ) {
		const socket = createConnection(launcherSocket);
		try {
			await once(socket, "connect");
			return;
		} catch (error) {
			if (performance.now() > giveUpAt) throw new Error(`no launcher at ${launcherSocket}: ${(error as Error).message}`);
			await pause(100);
		} finally {
			socket.destroy();
		}
	}
}
