import { describe, expect, test } from "vitest";
import { allowsEgress, EGRESS_LIMITS } from "./egress.js";
import { manifestSchema } from "./manifest.js";

const issuesOf = (allow: unknown) => {
	const { error } = manifestSchema.safeParse({ network: { allow } });
	return error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
};

describe("network.allow", () => {
	test("takes names, everything below a name, addresses, and ports with them", () => {
		const allow = [
			"api.example.com",
			"*.Example.org:443",
			"8.8.8.8:53",
			"db-1.internal.example:5432",
			"xn--bcher-kva.example",
			"_x.example.com",
		];
		expect(manifestSchema.parse({ network: { allow } }).network).toEqual({ allow: allow.map((entry) => entry.toLowerCase()) });
	});

	test.each([
		"*",
		"*.com:99999",
		"localhost",
		"a.*.example.com",
		"https://example.com",
		"example.com/path",
		"example.com:",
		"example.com:0",
		"[::1]:443",
		"::1",
		"1.2.3",
		"1.2.3.4.5",
		"127.0.0.01",
		"example.com.",
		"exa mple.com",
		"exämple.com",
		"-a.example.com",
		`${"a".repeat(64)}.example.com`,
		`${"a.".repeat(127)}com`,
		"a.example.com\nb.example.com",
		"",
		7,
	])("refuses %j, and says which entry", (entry) => {
		expect(issuesOf(["example.com", entry])).toEqual([expect.stringMatching(/^network(?:\.allow\.1)?: /)]);
	});

	test("has one host at least, and so many at most", () => {
		const many = (count: number) => Array.from({ length: count }, (_, at) => `h${at}.example.com`);
		expect(issuesOf([])).toEqual(["network.allow: at least one host; `none` is a network without any"]);
		expect(issuesOf(many(EGRESS_LIMITS.hosts))).toEqual([]);
		expect(issuesOf(many(EGRESS_LIMITS.hosts + 1))).toEqual([`network.allow: at most ${EGRESS_LIMITS.hosts} hosts`]);
	});
});

describe("a list of hosts", () => {
	const allow = ["api.example.com", "*.example.org", "*.example.net:8443", "8.8.8.8:53"];
	test.each([
		["api.example.com", 80, true],
		["api.example.com", 443, true],
		["api.example.com", 22, false],
		["b.api.example.com", 443, false],
		["notapi.example.com", 443, false],
		["a.example.org", 443, true],
		["a.b.example.org", 443, true],
		["example.org", 443, false],
		["badexample.org", 443, false],
		["a.example.net", 8443, true],
		["a.example.net", 443, false],
		["8.8.8.8", 53, true],
		["8.8.8.8", 443, false],
		["8.8.4.4", 53, false],
	] as const)("%s:%i: %s", (host, port, is) => expect(allowsEgress(allow, host, port)).toBe(is));

	test("a name may be looked up that is allowed on any port", () => {
		expect(["a.example.net", "example.net", "evil.example"].map((name) => allowsEgress(allow, name))).toEqual([true, false, false]);
	});
});
