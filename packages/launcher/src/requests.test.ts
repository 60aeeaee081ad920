import { LIMITS, MIB } from "@berth/contracts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RequestError, read } from "./requests.js";

const SANDBOX = `sb_${"0".repeat(26)}`;
const DIGEST = `sha256:${"a".repeat(64)}`;
const LIMIT = { memoryBytes: 128 * MIB, cpuMilli: 1000, pids: 64, tmpfsBytes: 64 * MIB, tmpfsInodes: 1024 };
const BOOT = {
	sandbox: SANDBOX,
	base: [DIGEST],
	kind: "function",
	program: { language: "node", oldSpaceMiB: 68, semiSpaceMiB: 4 },
	limits: LIMIT,
	network: "none",
};
const SPECIALISE = { sandbox: SANDBOX, layers: [DIGEST, DIGEST], limits: LIMIT, network: "internet" };

test("what is well formed is read field by field, and nothing else comes along", () => {
	const more = { seq: 1, rootfs: "/", __proto__: { evil: 1 } };
	expect(read.boot({ ...BOOT, leavesCpu: true }).leavesCpu).toBe(true);
	for (const leavesCpu of [false, "true", 1, null]) expect(read.boot({ ...BOOT, leavesCpu })).toEqual(BOOT);
	expect(read.boot({ ...BOOT, ...more, limits: { ...LIMIT, swap: -1 } })).toEqual(BOOT);
	expect(read.boot({ ...BOOT, own: [DIGEST] }).own).toEqual([DIGEST]);
	expect(read.specialise({ ...SPECIALISE, ...more })).toEqual(SPECIALISE);
	expect(read.sandbox({ sandbox: SANDBOX, ...more })).toEqual({ sandbox: SANDBOX });
	expect(read.layer({ digest: DIGEST })).toEqual({ digest: DIGEST });
	expect([read.import({ digest: DIGEST, last: true }).last, read.import({ digest: DIGEST, last: "yes" }).last]).toEqual([true, false]);
});

test("a network is none, internet, allow, host, or the name of one of the project's", () => {
	expect(read.specialise({ ...SPECIALISE, network: { join: "shop", via: "/proc/1/ns/net" } }).network).toEqual({ join: "shop" });
	expect(read.specialise({ ...SPECIALISE, network: "allow" }).network).toBe("allow");
	for (const network of [
		undefined,
		"bridge",
		{ allow: ["example.com"] },
		"/proc/1/ns/net",
		{},
		{ join: "../x" },
		{ join: 1 },
		{ join: "x".repeat(64) },
	])
		expect(() => read.specialise({ ...SPECIALISE, network })).toThrow(RequestError);
});

const VOLUME = "0123456789abcdef".repeat(2);

test("volumes and bind mounts are names and ids; what isn't said to be written is read-only", () => {
	const storage = [
		{ name: "data", volume: VOLUME, readOnly: false },
		{ name: "models", readOnly: true },
	];
	const more = [{ ...storage[0], source: "/etc" }, { name: "models" }];
	expect(read.specialise({ ...SPECIALISE, storage: more }).storage).toEqual(storage);
	expect(read.boot({ ...BOOT, own: [DIGEST], storage: more }).storage).toEqual(storage);
	expect(read.makeVolume({ volume: VOLUME, sizeMiB: 16, path: "/" })).toEqual({ volume: VOLUME, sizeMiB: 16 });
	for (const volume of [null, "", "../../etc", VOLUME.toUpperCase(), `${VOLUME}/..`, `${VOLUME}0`, `${VOLUME}\n`, [VOLUME]]) {
		expect(() => read.specialise({ ...SPECIALISE, storage: [{ name: "data", volume }] })).toThrow(RequestError);
		expect(() => read.volume({ volume })).toThrow(RequestError);
	}
	for (const name of [undefined, "", ".", "..", "../x", "a/b", "A", "x\0", "__proto__", ["data"]])
		expect(() => read.specialise({ ...SPECIALISE, storage: [{ name }] })).toThrow(RequestError);
	const twice = [{ name: "data" }, { name: "data", volume: VOLUME }];
	for (const list of [null, {}, "data", twice, Array.from({ length: 33 }, (_, at) => ({ name: `x${at}` }))])
		expect(() => read.boot({ ...BOOT, storage: list })).toThrow(RequestError);
	for (const sizeMiB of [undefined, 0, 15, 16.5, "16", 2 ** 20 + 1, Number.POSITIVE_INFINITY])
		expect(() => read.makeVolume({ volume: VOLUME, sizeMiB })).toThrow(RequestError);
});

test("layers that were asked for lately can't be dropped, whoever says so", () => {
	expect(read.dropLayers({ unusedForMs: 3_600_000, seq: 1 })).toEqual({ unusedForMs: 3_600_000 });
	for (const unusedForMs of [undefined, null, "3600000", -1, 0, 3_599_999, 3_600_000.5, Number.POSITIVE_INFINITY, Number.NaN])
		expect(() => read.dropLayers({ unusedForMs })).toThrow(RequestError);
});

const BAD_SANDBOXES = [undefined, null, 1, "", "sb_", `sb_${"0".repeat(25)}`, `sb_${"0".repeat(27)}`, `sb_${"A".repeat(26)}`, [SANDBOX]];
const BAD_PATHS = ["../../../etc", "/etc", `sb_${"0".repeat(24)}/.`, `${SANDBOX}\n`, `${SANDBOX}\0`, `x${SANDBOX}`];

test.each([...BAD_SANDBOXES, ...BAD_PATHS])("%j is no sandbox", (sandbox) => {
	for (const request of [
		() => read.sandbox({ sandbox }),
		() => read.boot({ ...BOOT, sandbox }),
		() => read.specialise({ ...SPECIALISE, sandbox }),
	]) {
		expect(request).toThrow(RequestError);
	}
});

const BAD_DIGESTS = [undefined, null, 1, "", "sha256:", "a".repeat(64), `sha512:${"a".repeat(64)}`, `sha256:${"A".repeat(64)}`];

test.each([...BAD_DIGESTS, `sha256:${"a".repeat(63)}`, `sha256:${"a".repeat(62)}/.`, `${DIGEST}\n`, "sha256:../../../../etc/passwd"])(
	"%j is no layer",
	(digest) => {
		for (const request of [
			() => read.layer({ digest }),
			() => read.import({ digest, last: true }),
			() => read.boot({ ...BOOT, base: [DIGEST, digest] }),
			() => read.boot({ ...BOOT, own: [digest] }),
			() => read.specialise({ ...SPECIALISE, layers: [digest] }),
		]) {
			expect(request).toThrow(/isn't a sha256 digest/);
		}
	},
);

test.each([undefined, null, DIGEST, {}, [], Array(33).fill(DIGEST)])("%j are no layers", (layers) => {
	expect(() => read.boot({ ...BOOT, base: layers })).toThrow("base: 1 to 30 digests");
	expect(() => read.specialise({ ...SPECIALISE, layers })).toThrow("layers: 1 to 30 digests");
});

test.each([null, DIGEST, {}, [], Array(31).fill(DIGEST)])("%j are no layers to boot with", (own) => {
	expect(() => read.boot({ ...BOOT, own })).toThrow("own: 1 to 30 digests");
});

test.each([undefined, null, "", "Build", 1])("%j is no kind of sandbox", (kind) => {
	expect(() => read.boot({ ...BOOT, kind })).toThrow(/kind/);
});

describe("a limit", () => {
	const RANGES: Readonly<Record<keyof typeof LIMIT, readonly [number, number]>> = {
		memoryBytes: [16 * MIB, LIMITS.memoryMiB.max * MIB],
		cpuMilli: [1, LIMITS.cpuMilli.max],
		pids: [1, 4096],
		tmpfsBytes: [4096, LIMITS.tmpfsMiB.max * MIB],
		tmpfsInodes: [1, 1_000_000],
	};

	test.each(Object.entries(RANGES))("%s has to be a whole number in its range: none is ever left out", (field, [min, max]) => {
		const boot = (value: unknown) => read.boot({ ...BOOT, limits: { ...LIMIT, [field]: value } }).limits;
		expect([boot(min), boot(max)].map((limits) => limits[field as keyof typeof LIMIT])).toEqual([min, max]);
		for (const bad of [undefined, null, min - 1, max + 1, min + 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY, String(min), [min], "max"]) {
			expect(() => boot(bad)).toThrow(new RegExp(`^${field}: `));
		}
	});

	test.each([undefined, null, 1, "x", []])("has to be given: %j is none", (limits) => {
		expect(() => read.boot({ ...BOOT, limits })).toThrow(RequestError);
		expect(() => read.specialise({ ...SPECIALISE, limits })).toThrow(RequestError);
	});
});

test("V8's heap is bounded, too: its flags are arguments", () => {
	for (const field of ["oldSpaceMiB", "semiSpaceMiB"]) {
		for (const bad of [undefined, 0, -1, 1.5, 100_000, "64 --inspect"])
			expect(() => read.boot({ ...BOOT, program: { ...BOOT.program, [field]: bad } })).toThrow(RequestError);
	}
});

test("what is started is Node or Python, by name", () => {
	expect(read.boot({ ...BOOT, program: { language: "python", oldSpaceMiB: 1 } }).program).toEqual({ language: "python" });
	for (const program of [undefined, null, "python", {}, { language: "/bin/sh" }, { language: ["python"] }])
		expect(() => read.boot({ ...BOOT, program })).toThrow(RequestError);
});

test("whatever JSON comes is read or refused, never anything else", () => {
	const value = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(SANDBOX, DIGEST, [DIGEST], LIMIT, 64, "build"));
	const heads = fc.dictionary(fc.constantFrom("sandbox", "digest", "last", "base", "own", "layers", "kind", "program", "limits"), value);
	fc.assert(
		fc.property(heads, fc.constantFrom(...Object.values(read)), (head, reader) => {
			try {
				reader(head);
			} catch (error) {
				expect(error).toBeInstanceOf(RequestError);
			}
		}),
		{ numRuns: 500 },
	);
});

test("a runtime class is one that there is, never a program's name", () => {
	expect(read.boot({ ...BOOT, own: [DIGEST], runtimeClass: "runsc" }).runtimeClass).toBe("runsc");
	for (const runtimeClass of ["runc", "/tmp/evil", "", null, ["runsc"], "__proto__"])
		expect(() => read.boot({ ...BOOT, runtimeClass })).toThrow(RequestError);
});
