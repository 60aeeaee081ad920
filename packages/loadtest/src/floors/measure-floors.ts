import type { BenchOptions, FloorName, OnProgress } from "../options.js";
import type { Floors, ProgramFloor, TransportFloor } from "../report/report.js";
import { timeBullmq } from "./bullmq.js";
import { timeDocker } from "./docker.js";
import { timeExpress } from "./express.js";
import { makeNodeBundle, type NodeBundle } from "./node-bundle.js";
import { timeOciRuntime } from "./oci-runtime.js";
import { timeProgram } from "./timed-runs.js";

const TRANSPORT_SECONDS = 3;
const CONNECTIONS = 32;

type Options = Pick<BenchOptions, "floors" | "floorRuns" | "load" | "signal">;

/** Measures the floors that are asked for. One that can't be had here is skipped, with its reason. */
export async function measureFloors(options: Options, progress: OnProgress): Promise<Floors> {
	const { floors, floorRuns: runs, signal } = options;
	if (floors.length === 0) return { skipped: {} };
	const transport = { connections: options.load?.connections ?? CONNECTIONS, seconds: TRANSPORT_SECONDS, signal };
	await using bundles = new BundleOnDemand();
	const measure: Record<FloorName, () => Promise<ProgramFloor | TransportFloor>> = {
		node: () => timeProgram({ command: process.execPath, args: () => ["-e", "0"] }, runs, signal),
		crun: async () => timeOciRuntime("crun", await bundles.get(), runs, signal),
		runc: async () => timeOciRuntime("runc", await bundles.get(), runs, signal),
		docker: async () => timeDocker(await bundles.get(), runs, signal),
		express: () => timeExpress(transport),
		bullmq: () => timeBullmq(transport),
	};
	const measured: Partial<Record<FloorName, ProgramFloor | TransportFloor>> = {};
	const skipped: Partial<Record<FloorName, string>> = {};
	for (const [index, name] of floors.entries()) {
		progress({ stage: `floor: ${name}`, done: index, total: floors.length });
		try {
			measured[name] = await measure[name]();
		} catch (error) {
			signal?.throwIfAborted();
			skipped[name] = reasonOf(error);
		}
	}
	return { ...(measured as Omit<Floors, "skipped">), skipped };
}

/** The bundle, made once when the first floor wants it. */
class BundleOnDemand implements AsyncDisposable {
	#bundle: Promise<NodeBundle> | undefined;

	get(): Promise<NodeBundle> {
		this.#bundle ??= makeNodeBundle();
		return this.#bundle;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		// One that couldn't be made has failed the floor that wanted it, and left nothing.
		const made = await this.#bundle?.catch(() => undefined);
		await made?.[Symbol.asyncDispose]();
	}
}

/** The program's own words if it said some, without the command line that Node puts before them. */
function reasonOf(error: unknown): string {
	const { code, stderr, message, path } = error as { code?: unknown; stderr?: string; message: string; path?: string };
	if (code === "ENOENT" && path !== undefined) return `${path} isn't installed`;
	return (stderr?.trim() || message).split("\n").at(-1) as string;
}
