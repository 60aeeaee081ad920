import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ImageReference } from "@berth/contracts";
import { DockerEngine } from "../../packages/sandbox/src/engines/docker/docker-engine.js";
import { containersOf } from "../harness/docker-containers.js";
import { blobsIn } from "./layers.js";
import type { TestNode } from "./node.js";
import { Sandboxes } from "./sandboxes.js";
import type { Loaded } from "./under-load.js";

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

	/** The worker is killed: another process than this one, which takes its place before and after. */
	async killed(): Promise<Loaded> {
		await this.#sandboxes.close();
		const loaded = await killedWorker(this.#spec);
		this.#sandboxes = await openSandboxes(this.#spec);
		return loaded;
	}

	async close(): Promise<readonly string[]> {
		await this.#sandboxes.close();
		await DockerEngine.removeLeftovers(this.#spec);
		return await this.made();
	}
}

/** Has a process of its own be the worker until it has sandboxes, and kills it then. */
async function killedWorker(doomed: DockerNodeSpec): Promise<Loaded> {
	const program = [process.execPath, process.argv[1] as string, JSON.stringify({ doomed })];
	const worker = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...program], { stdio: ["ignore", "pipe", "inherit"] });
	const ended = once(worker, "exit");
	const said = await Promise.race([once(createInterface({ input: worker.stdout }), "line"), ended]);
	worker.kill("SIGKILL");
	await ended;
	if (typeof said[0] !== "string") throw new Error(`the worker that was to be killed ended by itself: ${said.join(" ")}`);
	const { value, error } = JSON.parse(said[0]) as { readonly value?: Loaded; readonly error?: string };
	if (value === undefined) throw new Error(error);
	return value;
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
