import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { OciEngine } from "@berth/sandbox";
import type { Stack } from "./stack.js";

const HOUR_MS = 3_600_000;

/** Where a stack's launcher has its unpacked layers. */
export const unpackedLayers = (stack: Stack) => join(stack.dataDir, "launcher", "layers");

/** Where it has one of them. */
export function unpackedLayer(stack: Stack, digest: string): string {
	return join(unpackedLayers(stack), digest.slice("sha256:".length, "sha256:".length + 32));
}

/** Removes all that nothing is mounted from, as if nobody had wanted them for two hours; how many. */
export async function dropUnpacked(stack: Stack): Promise<number> {
	const then = new Date(Date.now() - 2 * HOUR_MS);
	for (const name of readdirSync(unpackedLayers(stack))) utimesSync(join(unpackedLayers(stack), name), then, then);
	const engine = await OciEngine.connect(join(stack.dataDir, "run", "launcher.sock"));
	try {
		return await engine.dropLayers(HOUR_MS);
	} finally {
		await engine.close();
	}
}
