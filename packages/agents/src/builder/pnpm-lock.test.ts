import { describe, expect, test } from "vitest";
import { dependenciesOf } from "./dependencies.js";
import { DependencyError } from "./dependency-error.js";

const REGISTRY = [{ url: "https://registry.npmjs.org/", scopes: [] }];
const INTEGRITY = `sha512-${"A".repeat(86)}==`;

interface Lock {
	readonly root?: Readonly<Record<string, string>>;
	/** Of each package: what it depends on. */
	readonly graph?: Readonly<Record<string, Readonly<Record<string, string>>>>;
	readonly more?: string;
	readonly specifier?: string;
	readonly manifest?: object;
}

const map = (fields: Readonly<Record<string, string>>, indent: string) =>
	Object.entries(fields)
		.map(([name, version]) => `${indent}'${name}': ${version}\n`)
		.join("");

function lockOf({ root = { a: "1.0.0" }, graph = { "a@1.0.0": {} }, more = "", specifier = "^1.0.0" }: Lock): string {
	const importer = Object.entries(root).map(
		([name, version]) => `      '${name}':\n        specifier: ${specifier}\n        version: ${version}\n`,
	);
	const packages = new Set(Object.keys(graph).map((key) => key.replace(/\(.*/, "")));
	return `lockfileVersion: '9.0'
importers:
  .:
    dependencies:
${importer.join("")}
packages:
${[...packages].map((key) => `  '${key}':\n    resolution: {integrity: ${INTEGRITY}}\n`).join("")}
snapshots:
${Object.entries(graph)
	.map(([key, needs]) => (Object.keys(needs).length === 0 ? `  '${key}': {}\n` : `  '${key}':\n    dependencies:\n${map(needs, "      ")}`))
	.join("")}
${more}`;
}

function read(lock: Lock, text = lockOf(lock)) {
	const dependencies = Object.fromEntries(Object.keys(lock.root ?? { a: "1.0.0" }).map((name) => [name, "^1.0.0"]));
	const files = { "package.json": JSON.stringify({ dependencies, ...lock.manifest }), "pnpm-lock.yaml": text };
	const sources = Object.entries(files).map(([path, body]) => ({ path, bytes: Buffer.from(body) }));
	return dependenciesOf(sources, REGISTRY) as unknown as {
		installable: { lock: { packages: Record<string, { version: string; name?: string; resolved?: string; dependencies?: object }> } };
	};
}

function versionsOf(lock: Lock) {
	const { packages } = read(lock).installable.lock;
	return Object.fromEntries(
		Object.entries(packages)
			.filter(([path]) => path !== "")
			.map(([path, { version }]) => [path.replaceAll("node_modules/", ""), version]),
	);
}

describe("pnpm's lock file", () => {
	test("leads to directories in which each package finds what it needs", () => {
		const graph = {
			"a@1.0.0": { shared: "1.0.0" },
			"b@1.0.0": { shared: "2.0.0", deep: "1.0.0" },
			"deep@1.0.0": { shared: "1.0.0", b: "1.0.0" },
			"shared@1.0.0": {},
			"shared@2.0.0": {},
		};
		expect(versionsOf({ root: { a: "1.0.0", b: "1.0.0" }, graph })).toEqual({
			a: "1.0.0",
			b: "1.0.0",
			shared: "1.0.0",
			"b/shared": "2.0.0",
			deep: "1.0.0",
		});
	});

	test("never has a package come between another one and what that has found further up", () => {
		// a's c is the root's; what a's d needs under that name may not be put where a would see it.
		const graph = {
			"a@1.0.0": { c: "1.0.0", d: "1.0.0" },
			"c@1.0.0": {},
			"c@2.0.0": {},
			"d@1.0.0": { c: "2.0.0" },
			"d@2.0.0": {},
		};
		expect(versionsOf({ root: { a: "1.0.0", c: "1.0.0", d: "2.0.0" }, graph })).toEqual({
			a: "1.0.0",
			c: "1.0.0",
			d: "2.0.0",
			"a/d": "1.0.0",
			"a/d/c": "2.0.0",
		});
	});

	test("has one package twice where its peers differ, and others under other names", () => {
		const graph = {
			"a@1.0.0(peer@1.0.0)": { peer: "1.0.0" },
			"b@1.0.0": { a: "1.0.0(peer@2.0.0)", peer: "2.0.0", old: "peer@1.0.0" },
			"a@1.0.0(peer@2.0.0)": { peer: "2.0.0" },
			"peer@1.0.0": {},
			"peer@2.0.0": {},
		};
		const { packages } = read({ root: { a: "1.0.0(peer@1.0.0)", b: "1.0.0" }, graph }).installable.lock;
		expect(Object.keys(packages).sort()).toEqual(
			["", "a", "b", "b/node_modules/a", "b/node_modules/peer", "old", "peer"].map((path) => (path === "" ? "" : `node_modules/${path}`)),
		);
		expect(packages["node_modules/old"]).toMatchObject({ name: "peer", version: "1.0.0" });
		expect(packages["node_modules/b"]).toMatchObject({ dependencies: { a: "1.0.0", old: "npm:peer@1.0.0", peer: "2.0.0" } });
		expect(packages["node_modules/a"]?.resolved).toBe("http://registry.invalid/registry.npmjs.org/a/-/a-1.0.0.tgz");
	});

	test.each<[string, Lock, string]>([
		["another specifier", { specifier: "^2.0.0" }, "don't belong together"],
		["a workspace", { more: "importers_:\n" }, "workspace"],
		["a patch", { more: "patchedDependencies:\n  a@1.0.0:\n    hash: x\n    path: patches/a.patch\n" }, "patches aren't applied"],
		["a link", { root: { a: "link:../a" } }, "link:../a"],
		["git", { root: { a: "https://codeload.github.com/x/a/tar.gz/abc" } }, "codeload"],
		["a way out of node_modules", { graph: { "a@1.0.0": { "../../etc": "1.0.0" } } }, "../../etc"],
		["a package that isn't there", { graph: { "a@1.0.0": { gone: "1.0.0" } } }, "gone@1.0.0"],
	])("is refused with %s", (what, lock, named) => {
		const text = what === "a workspace" ? lockOf({}).replace("importers:\n", "importers:\n  packages/other: {}\n") : lockOf(lock);
		expect(() => read(lock, text)).toThrow(DependencyError);
		expect(() => read(lock, text)).toThrow(named);
	});

	test.each([
		["an older format", "lockfileVersion: '6.0'\n", "lockfileVersion"],
		["aliases, which multiply", "lockfileVersion: '9.0'\na: &a [x, x]\nb: [*a, *a]\n", "isn't YAML"],
		["what is no YAML", "lockfileVersion: '9.0'\n\tx: [", "isn't YAML"],
		[
			"a tarball from elsewhere",
			lockOf({}).replace(`{integrity: ${INTEGRITY}}`, `{integrity: ${INTEGRITY}, tarball: http://169.254.169.254/a.tgz}`),
			"169.254.169.254",
		],
		["no integrity", lockOf({}).replace(`{integrity: ${INTEGRITY}}`, "{tarball: https://registry.npmjs.org/a/-/a-1.0.0.tgz}"), "integrity"],
	])("is refused with %s, too", (_, text, named) => {
		expect(() => read({}, text)).toThrow(DependencyError);
		expect(() => read({}, text)).toThrow(named);
	});

	test("is refused where its graph would multiply", () => {
		const levels = Array.from({ length: 14 }, (_, i) => i);
		const graph: Record<string, Record<string, string>> = { "a@1.0.0": { l0: "1.0.0", m0: "1.0.0" } };
		for (const i of levels) {
			for (const side of ["l", "m"]) {
				for (const number of ["1.0.0", "2.0.0"]) {
					const other = number === "1.0.0" ? "2.0.0" : "1.0.0";
					graph[`${side}${i}@${number}`] =
						i === 13 ? {} : { [`l${i + 1}`]: side === "l" ? number : other, [`m${i + 1}`]: side === "m" ? number : other };
				}
			}
		}
		// However it ends, it ends soon: with a tree that is small enough, or refused.
		const startedWith = Object.keys(graph).length;
		expect(startedWith).toBe(57);
		try {
			expect(Object.keys(versionsOf({ graph })).length).toBeLessThanOrEqual(10_000);
		} catch (error) {
			expect(error).toBeInstanceOf(DependencyError);
		}
	});
});
