import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./pages.js";

/** Names of keys and channels as the code writes them, with what is put in taken out. */
function namesIn(path: string): readonly string[] {
	const text = readFileSync(join(ROOT, path), "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
	return [...text.matchAll(/["`](\{?berth\}?:[^"`]*)["`]/g)].map(([, name = ""]) => name.replaceAll(/\$\{[^}]*\}/g, "x"));
}

/** What decides a key's slot of a Redis Cluster: what stands in its first braces, else all of it (redis.io, "Cluster specification", hash tags). */
const tagOf = (name: string) => /\{([^}]+)\}/.exec(name)?.[1];

// Who points Berth at a Cluster by this page would lose what a script changes together.
test("docs/scaling.md says which keys share a slot: the registry's all one, no other key one with another", () => {
	const [registry, queue] = [namesIn("packages/registry/src/keys.ts"), namesIn("packages/queue/src/keys.ts")];
	expect([registry.length > 30, queue.length > 30]).toEqual([true, true]);
	expect(registry.filter((name) => tagOf(name) !== "berth")).toEqual([]);
	expect(queue.filter((name) => tagOf(name) !== undefined)).toEqual([]);
	const page = readFileSync(join(ROOT, "docs/scaling.md"), "utf8");
	expect(page).toMatch(/^\| `\{berth\}:…` .*\| `berth`, all of them \|/m);
	expect(page).toMatch(/^\| `berth:…` .*\| none \|/m);
	expect(page).toMatch(/^\| `berth:q:…` .*\| none \|/m);
});
