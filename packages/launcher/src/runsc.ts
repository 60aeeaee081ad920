import { execFileSync } from "node:child_process";
import type { RuntimeClassReport } from "@berth/contracts";
import { findExecutable } from "./executables.js";
import { HostError } from "./host-error.js";

/** gVisor as this host has it. */
export interface Runsc {
	/** Absent where it can't be had. */
	readonly path?: string;
	readonly report: RuntimeClassReport;
}

/**
 * Looks for gVisor, which nothing but functions that ask for it needs: where it is only looked for, a node goes on without.
 * @param wanted `auto`, `none` or a path @throws HostError when it was named and isn't there, or isn't it
 */
export function probeRunsc(wanted: string): Runsc {
	if (wanted === "none") return { report: { missing: "BERTH_RUNSC is none" } };
	const path = findExecutable([wanted === "auto" ? "runsc" : wanted]);
	if (path === undefined) {
		if (wanted !== "auto")
			throw new HostError(`there is no program ${wanted}: install gVisor, or set BERTH_RUNSC to auto, none or its path`);
		return { report: { missing: "gVisor isn't installed (apt-get install runsc)" } };
	}
	const version = versionOf(path);
	if (version !== undefined) return { path, report: { version } };
	if (wanted !== "auto") throw new HostError(`${path} isn't gVisor's runsc: it doesn't say its version as that does`);
	return { report: { missing: `${path} doesn't say its version` } };
}

function versionOf(path: string): string | undefined {
	try {
		return /^runsc version (?:release-)?(\S+)/m.exec(execFileSync(path, ["--version"], { encoding: "utf8", env: {}, stdio: "pipe" }))?.[1];
	} catch {
		return undefined;
	}
}
