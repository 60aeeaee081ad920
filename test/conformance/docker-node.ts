import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageReference } from "@berth/contracts";
import { DockerEngine } from "../../packages/sandbox/src/engines/docker/docker-engine.js";
import { containersOf } from "../harness/docker-containers.js";
import { blobsIn } from "./layers.js";
import type { TestNode } from "./node.js";
import { Sandboxes } from "./sandboxes.js";

/** As the engine `docker` is on a node. */
export interface DockerNodeSpec {
	readonly socketPath: string;
	/** Whose its containers are. */
	readonly node: string;
	/** Below it are the agents' sockets. */
	readonly dataDir: string;
	/** Of a launcher beside a Docker Engine. */
	readonly launcherSocket: string;
	readonly image: ImageReference;
	/** Where its bytes are, by digest. */
	readonly blobs: string;
	readonly patienceMs: number;
}

/** A worker's pool on a Docker Engine. */
export class DockerNode implements TestNode {
	readonly dataDir: string;
	readonly #spec: DockerNodeSpec;
	#sandboxes: Sandboxes;

	private constructor(spec: DockerNodeSpec, sandboxes: Sandboxes) {
		this.dataDir = spec.dataDir;
		this.#spec = spec;
		this.#sandboxes = sandboxes;
	}

	static async start(spec: DockerNodeSpec): Promise<DockerNode> {
		return new DockerNode(spec, await openSandboxes(spec));
	}

	get sandboxes(): Sandboxes {
		return this.#sandboxes;
	}

	made(): Promise<readonly string[]> {
		return containersOf(this.#spec.socketPath, this.#spec.node);
	}

	processesOf(sandbox: string): readonly string[] {
		return processesOf(sandbox);
	}

	async killed(): Promise<void> {
		await this.#sandboxes.lose();
		this.#sandboxes = await openSandboxes(this.#spec);
	}

	async close(): Promise<readonly string[]> {
		await this.#sandboxes.close();
		await DockerEngine.removeLeftovers(this.#spec);
		return await this.made();
	}
}

async function openSandboxes({ socketPath, node, dataDir, launcherSocket, image, blobs, patienceMs }: DockerNodeSpec): Promise<Sandboxes> {
	const agentSockets = join(dataDir, "run/a");
	const engine = await DockerEngine.connect({
		...{ socketPath, node, agentSockets, launcherSocket },
		uidBase: 0x7000_0000,
		allowsHostNetwork: false,
		resolvConf: "/etc/resolv.conf",
	});
	const made = () => containersOf(socketPath, node);
	return await Sandboxes.open({ engine, agentSockets, image, layers: blobsIn(blobs), prewarms: false, patienceMs, processesOf, made });
}

/** Those that have its agent's socket mounted. */
function processesOf(sandbox: string): readonly string[] {
	return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && mountsOf(pid).includes(`${sandbox}.sock`));
}

/** A process may end while it is looked at. */
function mountsOf(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/mountinfo`, "utf8");
	} catch {
		return "";
	}
}
