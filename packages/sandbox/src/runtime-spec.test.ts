import { readFileSync } from "node:fs";
import { type BootRequest, LIMITS, MIB, type SandboxProgram } from "@berth/contracts";
import AjvDraft04 from "ajv-draft-04";
import fc from "fast-check";
import { expect, test } from "vitest";
import { containerSpec, type SandboxPlace } from "./container-spec.js";
import type { OciSpec } from "./oci-spec.js";
import { digest } from "./testing/versions.js";

const schema = (name: string): object =>
	JSON.parse(readFileSync(new URL(`./testing/runtime-spec/${name}`, import.meta.url), "utf8")) as object;

/** The schema as the runtime spec publishes it; its parts for systems that aren't Linux say nothing about ours. */
function compiled() {
	// Numbers' formats (uint32 and the like) are bounds in the schema, too.
	const ajv = new AjvDraft04.default({ strict: false, validateFormats: false, allErrors: true });
	for (const name of ["config-linux.json", "defs.json", "defs-linux.json"]) ajv.addSchema(schema(name), name);
	for (const system of ["solaris", "windows", "vm", "zos"]) ajv.addSchema({ [system]: {} }, `config-${system}.json`);
	return ajv.compile(schema("config-schema.json"));
}

const validate = compiled();

/** What the schema finds wrong with it as the runtime reads it, from its file. */
function wrongIn(spec: unknown): readonly string[] {
	validate(JSON.parse(JSON.stringify(spec)));
	return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

const PLACE: SandboxPlace = {
	rootfs: "/data/bases/1",
	base: "/data/bases/2",
	graft: "/data/sandboxes/x/graft",
	tmp: "/data/sandboxes/x/tmp",
	socket: "/data/sandboxes/x/agent.sock",
	cgroup: "/berth-1/x",
	uidBase: 0x7000_0000,
	cgroupVersion: 1,
	arch: "x64",
};

const programs: fc.Arbitrary<SandboxProgram> = fc.oneof(
	fc.record({
		language: fc.constant("node" as const),
		oldSpaceMiB: fc.integer({ min: 8, max: 4096 }),
		semiSpaceMiB: fc.integer({ min: 1, max: 64 }),
	}),
	fc.constantFrom({ language: "python" } as const, { language: "custom" } as const),
);

/** Every limit that the launcher lets through, and every kind of sandbox that there is. */
const boots: fc.Arbitrary<BootRequest> = fc
	.record({
		kind: fc.constantFrom("function" as const, "build" as const, "scripts" as const),
		program: programs,
		limits: fc.record({
			memoryBytes: fc.integer({ min: 16 * MIB, max: LIMITS.memoryMiB.max * MIB }),
			cpuMilli: fc.integer({ min: 1, max: LIMITS.cpuMilli.max }),
			pids: fc.integer({ min: 1, max: 4096 }),
			tmpfsBytes: fc.integer({ min: 4096, max: LIMITS.tmpfsMiB.max * MIB }),
			tmpfsInodes: fc.integer({ min: 1, max: 1_000_000 }),
		}),
		network: fc.constantFrom("none" as const, "internet" as const, "allow" as const, "host" as const, { join: "shop" }),
		own: fc.option(fc.record({ own: fc.constant([digest("2")]), ownIsRoot: fc.boolean() }), { nil: {} }),
		runtimeClass: fc.constantFrom({}, { runtimeClass: "runsc" as const }),
	})
	.map(({ own, runtimeClass, ...boot }) => ({ sandbox: `sb_${"0".repeat(26)}`, base: [digest("1")], ...boot, ...own, ...runtimeClass }));

const places: fc.Arbitrary<SandboxPlace> = fc
	.record({
		uidBase: fc.integer({ min: 65_536, max: 0xf000_0000 }),
		cgroupVersion: fc.constantFrom(1 as const, 2 as const),
		arch: fc.constantFrom("x64" as const, "arm64" as const),
		mounts: fc.constantFrom({}, { mounts: "/data/sandboxes/x/mounts" }),
		profile: fc.constantFrom({}, { apparmorProfile: "berth-sandbox" }),
	})
	.map(({ mounts, profile, ...place }) => ({ ...PLACE, ...place, ...mounts, ...profile }));

/** The one word that crun, runc and runsc take and the schema doesn't list: by `slave` alone mounts below the root would stay shared. */
function withListedPropagation(spec: OciSpec): object {
	expect(spec.linux.rootfsPropagation).toBe("rslave");
	return { ...spec, linux: { ...spec.linux, rootfsPropagation: "slave" } };
}

test("every container that there can be is what the OCI runtime spec says a config.json is", () => {
	fc.assert(
		fc.property(boots, places, (boot, place) => {
			expect(wrongIn(withListedPropagation(containerSpec(boot, place)))).toEqual([]);
		}),
	);
});

const BOOT: BootRequest = {
	sandbox: `sb_${"0".repeat(26)}`,
	base: [digest("1")],
	kind: "function",
	program: { language: "python" },
	limits: { memoryBytes: 128 * MIB, cpuMilli: 1000, pids: 64, tmpfsBytes: 64 * MIB, tmpfsInodes: 1024 },
	network: "none",
};

test.each<[string, (spec: OciSpec) => object]>([
	["a path that isn't one", (spec) => ({ ...spec, root: { path: 7 } })],
	["no version", (spec) => ({ ...spec, ociVersion: undefined })],
	["a namespace that there is none of", (spec) => ({ ...spec, linux: { ...spec.linux, namespaces: [{ type: "users" }] } })],
	[
		"a filter's action that there is none of",
		(spec) => ({ ...spec, linux: { ...spec.linux, seccomp: { defaultAction: "SCMP_ACT_DENY" } } }),
	],
	["a limit of less than nothing", (spec) => ({ ...spec, linux: { ...spec.linux, resources: { cpu: { shares: -1 } } } })],
	["a limit by another name", (spec) => ({ ...spec, process: { ...spec.process, rlimits: [{ type: "NOFILE", soft: 1, hard: 1 }] } })],
	["an umask beyond all bits", (spec) => ({ ...spec, process: { ...spec.process, user: { ...spec.process.user, umask: -1 } } })],
])("the schema would find %s", (_what, spoil) => {
	const wrong = wrongIn(spoil(containerSpec(BOOT, PLACE)));
	expect(wrong.filter((each) => !each.startsWith("/linux/rootfsPropagation"))).not.toEqual([]);
});
