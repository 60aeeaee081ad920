import type { Labels } from "./labels.js";
import type { RuntimeClass } from "./runtime-class.js";

/** Versions that a node says it has sandboxes of, at most: what is said is read by every gateway, again and again. */
export const MOST_WARM = 48;

/** What a node holds, as it said with the last renewal of its lease, some seconds ago at most. */
export interface NodeLoad {
	/** What its sandboxes may hold together, and do. */
	readonly memoryMiB: number;
	readonly heldMiB: number;
	readonly sandboxes: number;
	/** Invocations that it has in hand, and how many it runs at the same time at most. */
	readonly running: number;
	readonly mostRunning: number;
	/** Versions that it has sandboxes of, `project/function:7`, the last that were used first; MOST_WARM at most. */
	readonly warm: readonly string[];
}

/** What a node is, from its start on. */
export interface NodeTraits {
	/** What its machine calls itself. */
	readonly host?: string | undefined;
	/** Of Berth. */
	readonly release?: string | undefined;
	readonly engine?: "oci" | "docker" | undefined;
	/** Cores that it may use. */
	readonly cores?: number | undefined;
	/** Whether it takes builds. */
	readonly builds?: boolean | undefined;
	/** Beside its OCI runtime, what it runs functions under. */
	readonly runtimeClasses?: readonly RuntimeClass[] | undefined;
	readonly labels?: Labels | undefined;
}

/**
 * `ready`: takes work. `draining`: ends what it has, and takes nothing more. `restarting`: the same, and its worker is back in a moment.
 * `incompatible`: of another version of Berth, which this gateway has no words for. `left`: was stopped. `lost`: its lease ended
 * though nobody had stopped it.
 */
export type NodeState = "ready" | "draining" | "restarting" | "incompatible" | "left" | "lost";

/** A node in `GET /v1/nodes`; of one that is gone, what was last known of it. */
export interface NodeRecord extends NodeTraits {
	readonly id: string;
	readonly state: NodeState;
	/** When its worker started. */
	readonly startedAt: string;
	/** When it was missed. */
	readonly goneAt?: string;
	/** Absent: it has said nothing yet. */
	readonly load?: NodeLoad | undefined;
}

/** Whether a node is to take nothing new, and what it has in hand still, in its own words. */
export interface NodeInHand {
	readonly node: string;
	readonly draining: boolean;
	/** Invocations of either lane, and builds. */
	readonly interactive: number;
	readonly background: number;
	readonly builds: number;
}

/** `…/v1/nodes/{node}/drain` */
export interface NodeDrain extends NodeInHand {
	/**
	 * Nodes beside it that take work, or where none does, will in a moment, as the gateway that was asked sees them: with 0 nobody serves while it drains.
	 * Absent: nodes may be missing from its list, or it is a gateway from before.
	 */
	readonly otherNodes?: number;
}

/** A gateway in `GET /v1/nodes`. */
export interface GatewayRecord {
	readonly id: string;
	readonly startedAt: string;
	/** Where workers of other machines reach it; absent: nowhere. */
	readonly address?: string;
}

/** `GET /v1/nodes` */
export interface NodeList {
	readonly nodes: readonly NodeRecord[];
	readonly gateways: readonly GatewayRecord[];
}
