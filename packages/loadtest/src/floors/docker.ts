import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import type { ProgramFloor } from "../report/report.js";
import type { NodeBundle } from "./node-bundle.js";
import { timeProgram } from "./timed-runs.js";

const run = promisify(execFile);
/** A daemon that is there says so at once, milliseconds. */
const ANSWER_MS = 3000;

/** `docker run` of the bundle's root file system as an image. @throws Error when no daemon answers */
export async function timeDocker(bundle: NodeBundle, runs: number, signal?: AbortSignal): Promise<ProgramFloor> {
	await run("docker", ["version", "--format", "{{.Server.Version}}"], { timeout: ANSWER_MS });
	const image = `berth-bench-floor:${process.pid}`;
	await importImage(bundle.rootfs, image);
	try {
		const args = () => ["run", "--rm", "--network", "none", image, "/node", "-e", "0"];
		return await timeProgram({ command: "docker", args }, runs, signal);
	} finally {
		await run("docker", ["rmi", "--force", image]);
	}
}

async function importImage(rootfs: string, image: string): Promise<void> {
	const tar = spawn("tar", ["-C", rootfs, "-cf", "-", "."], { stdio: ["ignore", "pipe", "inherit"] });
	const docker = spawn("docker", ["import", "-", image], { stdio: ["pipe", "ignore", "inherit"] });
	const imported = once(docker, "exit");
	await pipeline(tar.stdout, docker.stdin);
	const [code] = await imported;
	if (code !== 0) throw new Error(`docker import ended with ${code}`);
}
