import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ProgramFloor } from "../report/report.js";
import type { NodeBundle } from "./node-bundle.js";

/** `crun run` or `runc run` of the bundle. @throws Error when the runtime isn't there, or fails */
export async function timeOciRuntime(
	runtime: "crun" | "runc",
	bundle: NodeBundle,
	runs: number,
	signal?: AbortSignal,
): Promise<ProgramFloor> {
	const child = fileURLToPath(new URL("./oci-child.js", import.meta.url));
	const args = ["--mount", "--propagation", "private", "--", process.execPath, child, runtime, bundle.directory, String(runs)];
	const { stdout } = await promisify(execFile)("unshare", args, signal === undefined ? {} : { signal });
	return JSON.parse(stdout) as ProgramFloor;
}
