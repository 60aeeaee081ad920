import type { SandboxInfo, SandboxKept } from "@berth/contracts";
import type { Sandbox } from "./sandbox.js";

/** A sandbox as people and programs see it. */
export function infoOf(sandbox: Sandbox, node: string, nowMs: number, kept?: SandboxKept): SandboxInfo {
	const { specialisation: holds } = sandbox;
	return {
		id: sandbox.id,
		node,
		state: sandbox.state,
		kind: sandbox.bootKey.kind,
		...(holds === undefined ? {} : { project: holds.project, function: holds.function, version: holds.version }),
		memoryClassMiB: sandbox.bootKey.memoryClass,
		memoryBytes: sandbox.memoryBytes(),
		ageMs: Math.round(nowMs - sandbox.bornAtMs),
		idleMs: sandbox.state === "busy" ? 0 : Math.round(nowMs - sandbox.idleSinceMs),
		invocations: sandbox.invocations,
		...(kept === undefined ? {} : { kept }),
	};
}
