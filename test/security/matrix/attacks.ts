import type { Attack, Group } from "./attack.js";
import { builds } from "./attacks/builds.js";
import { gateway } from "./attacks/gateway.js";
import { isolation } from "./attacks/isolation.js";
import { lifecycle } from "./attacks/lifecycle.js";
import { protocol } from "./attacks/protocol.js";
import { resources } from "./attacks/resources.js";
import { secrets } from "./attacks/secrets.js";
import { webhooks } from "./attacks/webhooks.js";
import { LIST } from "./list.js";

/** One row of the matrix. */
export interface Row {
	readonly group: Group;
	readonly name: string;
	/** What must be seen. */
	readonly seen: string;
	/** Undefined where it has been forgotten: a blank row. */
	readonly attack: Attack | undefined;
}

const ROWS: Readonly<Record<Group, Readonly<Record<string, Attack>>>> = {
	Resources: resources,
	Lifecycle: lifecycle,
	Protocol: protocol,
	Isolation: isolation,
	Secret: secrets,
	Gateway: gateway,
	Webhook: webhooks,
	Build: builds,
};

/** The matrix, in the order of the list. */
export const MATRIX: readonly Row[] = (Object.keys(LIST) as readonly Group[]).flatMap((group) =>
	Object.entries(LIST[group]).map(([name, seen]) => ({ group, name, seen, attack: ROWS[group][name] })),
);
