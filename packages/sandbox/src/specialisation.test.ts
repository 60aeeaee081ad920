import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Base, type ManifestInput, manifestSchema } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { bootKeyOf, keyText, limitsOf } from "./boot-key.js";
import { SPECIALISATION } from "./specialisation.js";

const PAGE = join(import.meta.dirname, "../../../docs/ARCHITECTURE.md");
const BASE: Base = { digest: `sha256:${"0".repeat(64)}`, layers: [] };

/** A value other than the default, for each field that a prewarmed sandbox may have to be given or not. */
const OTHERS: Readonly<Record<keyof typeof SPECIALISATION, ManifestInput>> = {
	runtime: { runtime: "node22" },
	runtimeClass: { runtimeClass: "runsc" },
	nodeSelector: { nodeSelector: { zone: "a" } },
	entry: { entry: "src/other.ts" },
	dockerfile: { dockerfile: "Dockerfile" },
	external: { external: ["sharp"] },
	scripts: { scripts: ["sharp"] },
	memoryMiB: { memoryMiB: 200 },
	cpuMilli: { cpuMilli: 500 },
	timeoutMs: { timeoutMs: 1000 },
	tmpfsMiB: { tmpfsMiB: 8 },
	streamMiB: { streamMiB: 1 },
	concurrency: { concurrency: 1 },
	pool: { pool: { min: 1 } },
	network: { network: "internet" },
	volumes: { volumes: [{ name: "data" }] },
	binds: { binds: ["models"] },
	env: { env: { A: "1" } },
	secrets: { secrets: ["KEY"] },
	reuse: { reuse: "never" },
	scratch: { scratch: "fresh" },
	public: { public: true },
	cors: { public: true, cors: { origins: ["https://app.example.com"] } },
	background: { background: { onSuccess: "next" } },
	description: { description: "x" },
};

/** The rows of the page's table. */
function documented(): readonly (readonly string[])[] {
	const rows = readFileSync(PAGE, "utf8").matchAll(/^\| `(\w+)` \| (specialised|boot|policy) \| (.+) \|$/gm);
	return [...rows].map((row) => row.slice(1, 4));
}

test("every field of a manifest has its place, and no other has one", () => {
	expect(Object.keys(SPECIALISATION)).toEqual(Object.keys(manifestSchema.shape));
});

test("docs/ARCHITECTURE.md prints this table", () => {
	expect(documented()).toEqual(Object.entries(SPECIALISATION).map(([field, { binding, how }]) => [field, binding, how]));
});

describe("the pool finds the same prewarmed sandboxes for a version that differs by", () => {
	const plain = manifestSchema.parse({});
	const fields = Object.entries(SPECIALISATION).filter(([, { binding }]) => binding !== "boot");

	test.each(fields)("%s", (field, { binding }) => {
		const other = manifestSchema.parse(OTHERS[field as keyof typeof SPECIALISATION]);
		expect(other).not.toEqual(plain);
		expect(keyText(bootKeyOf(BASE, other))).toBe(keyText(bootKeyOf(BASE, plain)));
		if (binding === "policy") expect(limitsOf(other)).toEqual(limitsOf(plain));
	});
});
