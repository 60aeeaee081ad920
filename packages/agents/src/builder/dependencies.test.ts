import { describe, expect, test } from "vitest";
import { dependenciesOf } from "./dependencies.js";
import { DependencyError } from "./dependency-error.js";

const REGISTRY = [{ url: "https://registry.npmjs.org/", scopes: [] }];
const INTEGRITY = `sha512-${"A".repeat(86)}==`;
const MS = { version: "2.1.3", resolved: "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz", integrity: INTEGRITY };

interface Source {
	readonly manifest?: object;
	readonly lock?: object;
	readonly packages?: Readonly<Record<string, object>>;
	readonly more?: Readonly<Record<string, string>>;
}

function filesOf({ manifest = {}, lock = {}, packages = { "node_modules/ms": MS }, more = {} }: Source) {
	const files = {
		"package.json": JSON.stringify({ dependencies: { ms: "^2.1.0" }, ...manifest }),
		"package-lock.json": JSON.stringify({ lockfileVersion: 3, packages: { "": {}, ...packages }, ...lock }),
		...more,
	};
	return Object.entries(files).map(([path, text]) => ({ path, bytes: Buffer.from(text) }));
}
const asked = (source: Source, options = REGISTRY) => JSON.stringify(dependenciesOf(filesOf(source), options));

describe("what is installed", () => {
	test("is the same for sources that differ in what an installation doesn't read", () => {
		const same = asked({});
		expect(
			asked({ manifest: { name: "shop", version: "9.9.9", scripts: { postinstall: "curl evil" }, devDependencies: { x: "1" } } }),
		).toBe(same);
		expect(
			asked({ packages: { "node_modules/x": { ...MS, dev: true }, "node_modules/ms": { ...MS, license: "MIT", hasInstallScript: true } } }),
		).toBe(same);
		expect(asked({ packages: { "node_modules/ms": { ...MS, version: "2.1.2" } } })).not.toBe(same);
	});

	test("is nothing without dependencies, or with packages that came along", () => {
		expect(dependenciesOf(filesOf({ manifest: { dependencies: {} } }), REGISTRY)).toBeUndefined();
		expect(dependenciesOf(filesOf({ more: { "node_modules/ms/index.js": "1" } }), REGISTRY)).toBeUndefined();
	});

	test("comes from the registry that is configured, where it names npm's", () => {
		const mirror = [{ url: "http://mirror:4873/npm/", scopes: [] }];
		expect(asked({}, mirror)).toContain('"http://registry.invalid/mirror:4873/npm/ms/-/ms-2.1.3.tgz"');
		const own = { ...MS, resolved: "http://mirror:4873/npm/ms/-/ms-2.1.3.tgz" };
		expect(asked({ packages: { "node_modules/ms": own } }, mirror)).toBe(asked({}, mirror));
	});
});

test.each<[string, Source, string]>([
	["git", { manifest: { dependencies: { evil: "git+https://example.com/evil.git" } } }, "evil"],
	["a shorthand of GitHub's", { manifest: { dependencies: { evil: "someone/evil" } } }, "someone/evil"],
	["a file", { manifest: { dependencies: { evil: "file:///etc/passwd" } } }, "file:///etc/passwd"],
	["a directory", { manifest: { dependencies: { evil: ".." } } }, "evil"],
	["a URL", { manifest: { dependencies: { evil: "http://169.254.169.254/x.tgz" } } }, "169.254.169.254"],
	["an override, however deep", { manifest: { overrides: { a: { ms: "file:/etc" } } } }, "file:/etc"],
	["workspaces", { manifest: { workspaces: ["a"] } }, "workspaces"],
	["a link", { packages: { "node_modules/ms": { resolved: "a", link: true } } }, "link"],
	["a place outside node_modules", { packages: { "../ms": MS } }, "../ms"],
	["a way out of node_modules", { packages: { "node_modules/../../ms": MS } }, "../ms"],
	["another host", { packages: { "node_modules/ms": { ...MS, resolved: "http://169.254.169.254/ms.tgz" } } }, "169.254.169.254"],
	["a file of the machine's", { packages: { "node_modules/ms": { ...MS, resolved: "file:///etc/passwd" } } }, "file:///etc/passwd"],
	["no integrity", { packages: { "node_modules/ms": { version: "2.1.3" } } }, "integrity"],
	["a dependency's dependency on git", { packages: { "node_modules/ms": { ...MS, dependencies: { x: "git://x/y" } } } }, "git://x/y"],
	["a list of names alone", { manifest: { dependencies: ["ms"] } }, 'package.json\'s dependencies is ["ms"]; an object is wanted'],
	["a name in place of a list", { manifest: { optionalDependencies: "ms" } }, 'package.json\'s optionalDependencies is "ms"'],
	["a lock file of npm 6", { lock: { lockfileVersion: 1 } }, "lockfileVersion 1"],
])("%s is refused, and named", (_, source, named) => {
	expect(() => dependenciesOf(filesOf(source), REGISTRY)).toThrow(DependencyError);
	expect(() => dependenciesOf(filesOf(source), REGISTRY)).toThrow(named);
});

test("files that aren't JSON are refused by name", () => {
	const broken = (path: string) => filesOf({}).map((file) => (file.path === path ? { path, bytes: Buffer.from("{") } : file));
	expect(() => dependenciesOf(broken("package.json"), REGISTRY)).toThrow("package.json isn't JSON");
	expect(() => dependenciesOf(broken("package-lock.json"), REGISTRY)).toThrow("package-lock.json isn't JSON");
});
