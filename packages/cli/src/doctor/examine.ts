import type { Settings } from "@berth/config";
import { checkAppArmor } from "./apparmor.js";
import { checkCgroups } from "./cgroups.js";
import { allNeededThere, attempt, type Check } from "./check.js";
import { checkDataDirectory } from "./data-directory.js";
import { type Enforced, whatIsEnforced } from "./enforced.js";
import { checkEngine } from "./engine.js";
import { checkKernel } from "./kernel.js";
import { checkAdminKey } from "./key-file.js";
import { checkMemory, checkPort, checkRoot } from "./machine.js";
import { checkNetworks } from "./networks.js";
import { checkPayloadStore } from "./payload-store.js";
import { checkPrograms } from "./programs.js";
import { checkRedisServers } from "./redis-settings.js";
import { checkRegistries } from "./registries.js";
import { settingsInUse } from "./running-settings.js";
import { checkSealingKey } from "./sealing-key.js";
import { checkStack } from "./stack.js";
import { checkStorage } from "./storage.js";

/** The document of `berth doctor --json`. */
export interface Examination {
	/** Whether everything is there that the stack needs. */
	readonly ok: boolean;
	readonly checks: readonly Check[];
	/** What a function's sandbox is held to, and by what; with a Docker Engine that is the Engine's to say. */
	readonly enforced: readonly Enforced[];
}

/** Looks at everything of this machine that a stack needs. A check that itself fails is a failed check. */
export async function examine(ours: Settings): Promise<Examination> {
	const { settings, check } = await settingsInUse(ours);
	const isRoot = process.geteuid?.() === 0;
	const stack = await checkStack(settings);
	const parts = [
		async () => [...(check === undefined ? [] : [check]), checkRoot(isRoot), checkMemory(settings)],
		() => checkKernel(isRoot, settings.insecureAllow),
		() => checkCgroups(settings.insecureAllow),
		async () => (isRoot && settings.apparmorProfile !== undefined ? [await checkAppArmor(settings.apparmorProfile)] : []),
		async () => [await checkEngine(settings)],
		() => checkPrograms(settings),
		async () => (isRoot ? await checkNetworks(settings) : []),
		async () => (isRoot ? checkStorage(settings) : []),
		() => checkDataDirectory(settings),
		() => checkRedisServers(settings, stack.isUp),
		async () => (isRoot ? checkAdminKey(settings) : []),
		async () => (isRoot ? checkSealingKey(settings, stack.isUp || !settings.embedded.durable) : []),
		() => checkRegistries(settings),
		() => checkPayloadStore(settings),
		async () => (stack.isUp ? [] : [await checkPort(settings)]),
		async () => stack.checks,
	];
	const checks = (await Promise.all(parts.map(attempt))).flat();
	return { ok: allNeededThere(checks), checks, enforced: settings.engine === "oci" ? await whatIsEnforced(checks) : [] };
}
