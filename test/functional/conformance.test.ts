import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { ENGINES, type EngineName } from "../conformance/engines.js";
import { type FunctionsImage, makeFunctionsImage } from "../conformance/functions-image.js";
import { makeDirectories } from "../conformance/launcher-process.js";
import type { TrialSpec } from "../conformance/main.js";
import { engineConforms } from "../conformance/suite.js";
import { takeKeptBases } from "../harness/kept-bases.js";
import { clearLeftovers } from "../harness/leftovers.js";

const LAUNCHER = fileURLToPath(new URL("../../packages/launcher/dist/programs/main.js", import.meta.url));
const PATIENCE_MS = 20_000;

/** One after the other, on the layers that the first one has unpacked. */
let dataDir: string;
let made: FunctionsImage;
beforeAll(async () => {
	dataDir = await mkdtemp("/var/lib/berth-test-");
	await chmod(dataDir, 0o711);
	await takeKeptBases(dataDir);
	made = await makeFunctionsImage(join(dataDir, "artifacts"));
	makeDirectories(dataDir);
});
afterAll(async () => {
	if (dataDir === undefined) return;
	await clearLeftovers(dataDir);
	await rm(dataDir, { recursive: true });
});

function trial(engine: EngineName, runtime: string, runtimeClass?: "runsc"): TrialSpec {
	const prewarms = ENGINES[engine].firstStart === "prewarmed";
	return { launched: { program: LAUNCHER, dataDir, runtime, runtimeClass, ...made, prewarms, patienceMs: PATIENCE_MS } };
}

const directory = () => dataDir;
engineConforms("oci/crun", directory, () => trial("oci/crun", "crun"));
engineConforms("oci/runc", directory, () => trial("oci/runc", "runc"));
engineConforms("runsc", directory, () => trial("runsc", "crun", "runsc"));
