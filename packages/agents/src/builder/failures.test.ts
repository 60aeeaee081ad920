import { expect, test } from "vitest";
import { npmFailure } from "./npm-failure.js";
import { pipFailure } from "./pip-failure.js";

const npm = (code: string, message: string, lines: readonly string[] = [], scopes: readonly string[] = []) =>
	npmFailure({ code: 1, isLate: false, out: JSON.stringify({ code, message }), lines }, [{ url: "https://registry.example/", scopes }]);
const pip = (lines: readonly string[], missing: readonly string[] = []) =>
	pipFailure({ code: 1, isLate: false, out: "", lines }, { missing: new Set(missing) }).message.replace(/^.*?installed: /, "");

test("a checksum that is another is said once, with the package that has it", () => {
	const message = "sha512-A== integrity checksum failed when using sha512: wanted sha512-A== but got sha512-B==. (9 bytes)";
	const line = "npm warn tarball tarball data for ms@https://registry.example/ms.tgz (sha512-A==) seems to be corrupted. Trying again.";
	expect(npm("EINTEGRITY", message, [line])).toBe(
		"a package's bytes aren't those that the lock file was made with: wanted sha512-A== but got sha512-B==. (9 bytes) npm said: npm warn tarball tarball data for ms@https://registry.example/ms.tgz seems to be corrupted. Trying again.",
	);
});

test("a package of a scope that isn't there says how to name the scope's registry, unless it is named", () => {
	const message = "404 Not Found - GET https://registry.example/@acme%2fx";
	expect(npm("E404", message)).toContain("If @acme has a registry of its own, `berth registry set <host> --scope @acme`");
	expect(npm("E404", message, [], ["@acme"])).toBe(`a package isn't in the registry: ${message}`);
	expect(npm("E404", "404 Not Found - GET https://registry.example/x")).not.toContain("registry set");
});

test("a package that isn't there, one without the version and one without a wheel are told apart", () => {
	const none = (name: string) => [
		`ERROR: Could not find a version that satisfies the requirement ${name} (from versions: none)`,
		`ERROR: No matching distribution found for ${name}`,
	];
	expect(pip(none("No_Such.thing>=1"), ["/simple/no-such-thing/"])).toMatch(/^the index has no package of that name\. pip said: ERROR/);
	expect(pip(none("only-sources"), ["/simple/another/"])).toMatch(/^only wheels are installed/);
	const [line = "", last = ""] = none("shout==7");
	expect(pip([line.replace("none", "1.0, 2.0"), last])).toMatch(/^no version that it may be has a wheel .* named\. pip said: .*1\.0, 2\.0/);
});
