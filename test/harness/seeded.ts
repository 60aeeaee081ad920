import { saidSeed } from "./seed.js";

// For every property of fast-check's that has no seed of its own (vitest's setupFiles).
const seed = saidSeed();
if (seed !== undefined) {
	const { default: fc } = await import("fast-check");
	fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}
