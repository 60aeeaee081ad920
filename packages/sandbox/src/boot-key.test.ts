import { LIMITS, MEMORY_CLASSES, MIB, manifestSchema } from "@berth/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bootKeyOf, buildKeyOf, keyText, limitsOf, prewarmLimitsOf, programOf, versionKeyOf } from "./boot-key.js";
import { SPECIALISATION } from "./specialisation.js";
import { BASE, digest, OTHER_BASE, version } from "./testing/versions.js";

test("versions share prewarmed sandboxes exactly when base and memory class are the same", () => {
	const key = (memoryMiB: number, base = BASE) => keyText(bootKeyOf(base, { runtime: "node24", memoryMiB, network: "none" }));
	expect(key(128)).toBe(key(255));
	expect(key(128)).not.toBe(key(256));
	expect(key(128)).not.toBe(key(128, OTHER_BASE));
	expect(keyText(buildKeyOf(BASE))).not.toBe(key(1024));
});

test("of Python, whose memory isn't fixed at its boot, one prewarmed sandbox does for every size", () => {
	const key = (memoryMiB: number, base = BASE) => bootKeyOf(base, { runtime: "python3", memoryMiB, network: "none" });
	expect(keyText(key(64))).toBe(keyText(key(4096)));
	expect(keyText(key(64))).not.toBe(keyText(key(64, OTHER_BASE)));
	expect([programOf(key(512)), programOf(bootKeyOf(BASE, { runtime: "node24", memoryMiB: 128, network: "none" })).language]).toEqual([
		{ language: "python" },
		"node",
	]);
});

test("a network comes with the function, but for the host's own and where its layers can't come either", () => {
	const { image, manifest } = version("x");
	const networks = ["none", "internet", { join: "shop" }, "host"] as const;
	const keys = (grafts: boolean) => networks.map((network) => keyText(versionKeyOf(image, { ...manifest, network }, grafts)));
	const [none, internet, joined, host] = keys(true);
	expect([internet, joined]).toEqual([none, none]);
	expect(host).not.toBe(none);
	expect(new Set(keys(false)).size).toBe(4);
});

test("an engine that can't graft boots each image's sandboxes for itself", () => {
	const { image, manifest } = version("x");
	const other = { ...image, layers: [{ digest: digest("12"), sizeBytes: 1 }] };
	const keys = [image, other].flatMap((one) => [true, false].map((grafts) => keyText(versionKeyOf(one, manifest, grafts))));
	expect(keys[0]).toBe(keys[2]);
	expect(new Set(keys).size).toBe(3);
});

test("storage comes with the function, too; a sandbox that is booted with it is nobody's who has another one, or none", () => {
	const { image, manifest } = version("x");
	const storages = [{}, { volumes: [{ name: "data" }] }, { volumes: [{ name: "data", readOnly: true }] }, { binds: ["data"] }];
	const keysIn = (project: string, grafts: boolean) =>
		storages.map((storage) => keyText(versionKeyOf(image, { ...manifest, ...storage }, grafts, { project, function: "x", version: 1 })));
	expect(new Set(keysIn("one", true)).size).toBe(1);
	expect(new Set([...keysIn("one", false), ...keysIn("other", false).slice(1, 3)]).size).toBe(6);
});

test("a version gets what it asked for, and its class never more than that", () => {
	const { min, max } = LIMITS.memoryMiB;
	fc.assert(
		fc.property(fc.integer({ min, max }), (memoryMiB) => {
			const { memoryClass } = bootKeyOf(BASE, { runtime: "node24", memoryMiB, network: "none" });
			expect(memoryClass).toBeLessThanOrEqual(memoryMiB);
			expect(limitsOf(version("x", { memoryMiB }).manifest).memoryBytes).toBe(memoryMiB * MIB);
		}),
	);
});

test("every sandbox has every limit from its boot on", () => {
	for (const memoryClass of MEMORY_CLASSES) {
		for (const kind of ["function", "build"] as const) {
			const limits = Object.values(prewarmLimitsOf({ kind, base: BASE, language: "node", memoryClass, network: "none" }));
			expect(limits).toHaveLength(5);
			for (const limit of limits) expect(limit).toBeGreaterThan(0);
		}
	}
});

test("every field of a manifest is specialised, booted for, or the platform's affair: none is forgotten", () => {
	expect(Object.keys(SPECIALISATION).sort()).toEqual(Object.keys(manifestSchema.shape).sort());
});

test("under a class of its own a version's sandboxes are booted with its layers, and are no other version's", () => {
	const { image, manifest } = version("x");
	const own = versionKeyOf(image, { ...manifest, runtimeClass: "runsc" }, true);
	expect(own).toMatchObject({ runtimeClass: "runsc", own: image.layers });
	const keys = [own, versionKeyOf(image, manifest, true), versionKeyOf(image, manifest, false)].map(keyText);
	expect(new Set(keys).size).toBe(3);
});
