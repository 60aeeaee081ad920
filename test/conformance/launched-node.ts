import { join } from "node:path";
import type { ImageReference, RuntimeClass } from "@berth/contracts";
import { OciEngine } from "@berth/sandbox";
import { eventually } from "../harness/eventually.js";
import { leftoversOf, sandboxCgroupsOf, sandboxProcessesOf } from "../harness/leftovers.js";
import { LauncherProcess, type LauncherSpec } from "./launcher-process.js";
import { blobsIn } from "./layers.js";
import type { TestNode } from "./node.js";
import { Sandboxes } from "./sandboxes.js";
import { become } from "./service-user.js";
import { type Loaded, underLoad } from "./under-load.js";

/** As the engine `oci` is on a node. */
export interface LaunchedNodeSpec extends LauncherSpec {
	readonly image: ImageReference;
	/** Where its bytes are, by digest. */
	readonly blobs: string;
	readonly runtimeClass?: RuntimeClass | undefined;
	/** Whether sandboxes are ready before anybody knows for whom. */
	readonly prewarms: boolean;
	readonly isSlow?: boolean;
	readonly patienceMs: number;
	/** The OCI runtime of the launcher that comes after one that was killed; by default the same. */
	readonly nextRuntime?: string;
}

/** A launcher of its own, and a worker's pool on it: this process is the worker while it is open. */
export class LaunchedNode implements TestNode {
	readonly dataDir: string;
	readonly #spec: LaunchedNodeSpec;
	#launcher: LauncherProcess;
	#sandboxes: Sandboxes;

	private constructor(spec: LaunchedNodeSpec, launcher: LauncherProcess, sandboxes: Sandboxes) {
		this.dataDir = spec.dataDir;
		this.#spec = spec;
		this.#launcher = launcher;
		this.#sandboxes = sandboxes;
	}

	/** @param launcher one that was started before */
	static async start(spec: LaunchedNodeSpec, launcher?: LauncherProcess): Promise<LaunchedNode> {
		const started = launcher ?? (await LauncherProcess.start(spec));
		return new LaunchedNode(spec, started, await openSandboxes(spec));
	}

	get sandboxes(): Sandboxes {
		return this.#sandboxes;
	}

	/** What the launcher said when it was ready. */
	get ready(): LauncherProcess["ready"] {
		return this.#launcher.ready;
	}

	made(): Promise<readonly string[]> {
		return Promise.resolve(sandboxCgroupsOf(this.dataDir));
	}

	processesOf(sandbox: string): readonly string[] {
		return sandboxProcessesOf(this.dataDir, sandbox);
	}

	/** The launcher is killed; the worker, this process, has lost it. */
	async killed(): Promise<Loaded> {
		const loaded = await underLoad(this);
		await this.#launcher.end("SIGKILL");
		await this.#sandboxes.lose();
		become("root");
		const { runtime, nextRuntime = runtime } = this.#spec;
		this.#launcher = await LauncherProcess.start({ ...this.#spec, runtime: nextRuntime });
		this.#sandboxes = await openSandboxes(this.#spec);
		return loaded;
	}

	/** @param leave done when the launcher has ended: what is ours of what it made */
	async close(leave?: () => Promise<void>): Promise<readonly string[]> {
		await this.#sandboxes.close();
		become("root");
		const ended = await this.#launcher.end("SIGTERM");
		await leave?.();
		const left = () => [...(ended === 0 ? [] : [`the launcher ended with ${ended}`]), ...leftoversOf(this.dataDir)];
		// Its mount namespace goes a moment after it, and its hierarchy of cgroups with that.
		return await eventually(() => {
			if (left().length > 0) throw new Error(left().join("\n"));
			return [];
		}, this.#spec.patienceMs).catch(left);
	}
}

async function openSandboxes({ dataDir, blobs, ...rest }: LaunchedNodeSpec): Promise<Sandboxes> {
	become("worker");
	return await Sandboxes.open({
		...rest,
		engine: await OciEngine.connect(join(dataDir, "run/launcher.sock")),
		layers: blobsIn(blobs),
		agentSockets: join(dataDir, "run/a"),
		processesOf: (sandbox) => sandboxProcessesOf(dataDir, sandbox),
		made: () => Promise.resolve(sandboxCgroupsOf(dataDir)),
	});
}
