import { rm } from "node:fs/promises";
import type { DataPaths } from "@berth/config";
import { readOwned, replaceFile } from "./owned-file.js";
import type { ProcessIdentity } from "./process-identity.js";

/** A supervised process as the state file names it. */
export interface ChildState extends ProcessIdentity {
	readonly name: string;
}

/** `starting → ready → stopping`; then the file is removed. */
export type SupervisorPhase = "starting" | "ready" | "stopping";

/** What a supervisor says about itself: how others find its gateway, and what to stop should it be killed. */
export interface SupervisorState {
	readonly supervisor: ProcessIdentity;
	readonly phase: SupervisorPhase;
	/** The gateway's; present from `ready` on. */
	readonly url?: string;
	/** The file of its certificate, where it speaks TLS. */
	readonly certificate?: string;
	/** The file of its key. */
	readonly certificateKey?: string;
	/** What the certificate's file had when the gateway was started, PEM: it serves on with it should the file break. */
	readonly startedWith?: string;
	/** ISO 8601. */
	readonly startedAt: string;
	readonly children: readonly ChildState[];
}

/** The state of the supervisor of a data directory, running or killed; undefined when it left none. */
export async function readSupervisorState(paths: DataPaths): Promise<SupervisorState | undefined> {
	const text = await readOwned(paths.supervisorFile);
	return text === undefined ? undefined : (JSON.parse(text) as SupervisorState);
}

export async function writeSupervisorState(paths: DataPaths, state: SupervisorState): Promise<void> {
	await replaceFile(paths.supervisorFile, `${JSON.stringify(state)}\n`, 0o644);
}

export async function removeSupervisorState(paths: DataPaths): Promise<void> {
	await rm(paths.supervisorFile, { force: true });
}
