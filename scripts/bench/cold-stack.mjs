import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Stack } from "../stack/stack.mjs";

/**
 * How long a whole stack takes from its command to taking invocations: with nothing there, and as it was stopped.
 * @param {AbortSignal} signal
 */
export async function coldStack(signal) {
	// A sandbox's user has to get through it.
	const dataDir = await mkdtemp(join("/var/lib", "berth-"));
	await chmod(dataDir, 0o711);
	try {
		return { firstMs: await once(dataDir, signal), againMs: await once(dataDir, signal) };
	} finally {
		await rm(dataDir, { recursive: true, force: true });
	}
}

async function once(dataDir, signal) {
	const began = performance.now();
	const stack = await Stack.start({ dataDir, port: 0, env: { BERTH_LOG_LEVEL: "warn" }, signal });
	const took = performance.now() - began;
	await stack.stop();
	return took;
}
