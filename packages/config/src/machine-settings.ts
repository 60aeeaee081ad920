import { type Labels, labelsText } from "@berth/contracts";
import { ROLES, type Role } from "./roles.js";
import { SettingsError } from "./settings-error.js";
import type { SettingValues } from "./settings-table.js";

/** What a machine is of its stack. */
export interface MachineSettings {
	readonly roles: readonly Role[];
	/** Where its gateway listens for workers of others; absent: for its own alone. */
	readonly internal?: { readonly host: string; readonly port: number };
	/** Whether there may be other machines, which share what they have to. */
	readonly hasPeers: boolean;
	/** What functions ask for with `nodeSelector`. */
	readonly labels: Labels;
}

/**
 * What a machine does, and whether there may be others beside it: then nothing that they have to share may be this machine's own.
 * @throws SettingsError naming all settings that are missing for that
 */
export function machineSettingsOf(value: SettingValues): MachineSettings {
	const { BERTH_ROLES: roles, BERTH_INTERNAL_HOST: host, BERTH_INTERNAL_PORT: port, BERTH_NODE_LABELS: labels = {} } = value;
	const hasPeers = roles.length < ROLES.length || host !== undefined;
	const lacks = hasPeers ? lackOf(value) : [];
	if (lacks.length > 0) throw new SettingsError(lacks.map((lack) => `${reasonOf(value)} needs ${lack}`).join("\n"));
	return {
		roles,
		hasPeers,
		labels: Object.freeze(labels),
		...(host === undefined || !roles.includes("gateway") ? {} : { internal: Object.freeze({ host, port }) }),
	};
}

function reasonOf({ BERTH_ROLES: roles }: SettingValues): string {
	return roles.length < ROLES.length ? `BERTH_ROLES=${roles.join()}` : "BERTH_INTERNAL_HOST (other machines beside this one)";
}

function lackOf(value: SettingValues): readonly string[] {
	const isGateway = value.BERTH_ROLES.includes("gateway");
	const needs: readonly (readonly [missing: boolean, what: string])[] = [
		[value.BERTH_DURABLE_REDIS_URL === undefined, "BERTH_DURABLE_REDIS_URL: the durable Redis that all of them share"],
		[value.BERTH_FAST_REDIS_URL === undefined, "BERTH_FAST_REDIS_URL: the fast Redis that all of them share"],
		[value.BERTH_PAYLOAD_STORE === undefined, "BERTH_PAYLOAD_STORE: large bodies and sources reach other machines through it"],
		[value.BERTH_IMAGE_REPOSITORY === undefined, "BERTH_IMAGE_REPOSITORY: images reach other machines through it"],
		[isGateway && value.BERTH_INTERNAL_HOST === undefined, "BERTH_INTERNAL_HOST: the address at which workers reach this gateway"],
	];
	return needs.filter(([missing]) => missing).map(([, what]) => what);
}

/** As they stand in the environment. */
export function machineVariables({ roles, internal, labels }: MachineSettings) {
	return {
		BERTH_ROLES: roles.join(),
		BERTH_INTERNAL_HOST: internal?.host,
		BERTH_INTERNAL_PORT: internal && String(internal.port),
		BERTH_NODE_LABELS: labelsText(labels) || undefined,
	};
}
