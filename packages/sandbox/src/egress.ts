import { allowedHosts } from "@berth/contracts";
import type { Sandbox } from "./sandbox.js";
import type { Injection } from "./version-target.js";

/** A sandbox that may reach some hosts. */
export interface Egressing {
	readonly sandbox: string;
	readonly project: string;
	/** The invocation that it runs, or ran last. */
	readonly invocation: string;
	/** `network.allow` of its version. */
	readonly allow: readonly string[];
	/** Headers that its requests get. */
	readonly injections: readonly Injection[];
	/** Resolves when nothing of it runs any more. */
	readonly gone: Promise<void>;
	/** Says so on the invocation, and that it hit a limit. */
	refused(target: string, why: string): void;
	/** Says so on the invocation. */
	failed(target: string, why: string): void;
}

/** Undefined when none of the sandboxes has that address. */
export function egressOf(sandboxes: readonly Sandbox[], address: string): Egressing | undefined {
	const sandbox = sandboxes.find((one) => one.address === address);
	if (sandbox?.specialisation === undefined || sandbox.state === "retiring") return undefined;
	const allow = allowedHosts(sandbox.specialisation.manifest.network);
	if (allow === undefined) return undefined;
	return {
		sandbox: sandbox.id,
		project: sandbox.specialisation.project,
		allow,
		injections: sandbox.specialisation.secrets?.injections ?? [],
		gone: sandbox.gone,
		get invocation() {
			return sandbox.invocation;
		},
		refused: (target, why) => sandbox.egress?.refused(target, why),
		failed: (target, why) => sandbox.egress?.failed(target, why),
	};
}
