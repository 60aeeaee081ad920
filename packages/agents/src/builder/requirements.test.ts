import { describe, expect, test } from "vitest";
import { DependencyError } from "./dependency-error.js";
import { requirementsOf } from "./requirements.js";

const INDEXES = ["https://index.example/simple/", "https://own.example:8443/pypi/simple/", "https://third.example/simple/"].map((url) => ({
	url,
	scopes: [],
}));

function of(text: string | Buffer, more: readonly string[] = []) {
	const files = [["requirements.txt", text] as const, ...more.map((path) => [path, ""] as const)];
	return requirementsOf(
		files.map(([path, bytes]) => ({ path, bytes: Buffer.from(bytes) })),
		INDEXES,
	);
}

const HASH = `sha256:${"a".repeat(64)}`;
const OTHER = `sha256:${"0".repeat(64)}`;

describe("what requirements.txt asks for", () => {
	test("is the same whatever its order, spaces, comments, line ends and the tool that wrote it", () => {
		const same = of("flask==3.0\nrequests[socks,security]>=2,<3; python_version > '3.8'\n");
		expect(same).toEqual({ requirements: ["flask==3.0", "requests[socks,security]>=2,<3; python_version > '3.8'"], flags: [] });
		expect(
			of(
				"\uFEFF-i https://pypi.org/simple\r\n\r\n# made by\r\nrequests[socks,security]>=2,<3;   python_version > '3.8'\r\nflask==3.0  # via x",
			),
		).toEqual(same);
		expect(
			of(
				"--index-url=https://index.example/simple/\n--prefer-binary\nflask==3.0\nrequests[socks,security]>=2,<3; python_version > '3.8'\nflask==3.0",
			),
		).toEqual(same);
	});

	test("has hashes with the requirement that they are of, over several lines", () => {
		expect(of(`flask==3.0 \\\n    --hash=${HASH} \\\n    --hash ${OTHER}\n    # via shop\n`)?.requirements).toEqual([
			`flask==3.0 --hash=${OTHER} --hash=${HASH}`,
		]);
	});

	test("may name an index of the project's, by its whole URL, and one alone", () => {
		const index = "https://own.example:8443/pypi/simple/";
		for (const line of [`--index-url ${index}`, "-i https://own.example:8443/pypi/simple", `--index-url=${index}`])
			expect(of(`${line}\nflask`)).toEqual({ requirements: ["flask"], flags: [], index });
		expect(() => of("-i https://own.example:8443/pypi/simple\n-i https://third.example/simple\nflask")).toThrow("more than one index");
		expect(() => of("-i https://own.example:8443/other/simple\nflask")).toThrow("no index of this project");
		expect(() => of("-i https://ann:s3cr3t@own.example:8443/pypi/simple\nflask")).toThrow(/berth registry set own\.example:8443/);
		expect(() => of("-i https://ann:s3cr3t@own.example:8443/pypi/simple\nflask")).not.toThrow(/s3cr3t/);
	});

	test("may ask for versions before release, and for hashes", () => {
		expect(of("--require-hashes\n--pre\nflask")).toEqual({ requirements: ["flask"], flags: ["--pre", "--require-hashes"] });
	});

	test.each([
		"Flask",
		"a",
		"zope.interface == 5.*",
		"ruamel_yaml~=0.18.0",
		"x===1.0-local",
		"x (>=1,<2)",
		"x[]",
		"x!=1.0, >0.5",
		"torch==2.1+cpu",
		"x==1!2.0",
		'x; sys_platform == "linux" and (python_version >= "3.8" or extra == "y")',
	])("may be %s", (line) => {
		expect(of(line)?.requirements).toEqual([line]);
	});

	test.each([
		["only comments", "# none\n\n   # none\n", []],
		["packages that came along", "flask", ["flask-3.0.dist-info/RECORD"]],
		["packages where they would be put", "flask", ["site-packages/flask/__init__.py"]],
	])("is nothing with %s", (_what, text, more) => {
		expect(of(text, more)).toBeUndefined();
	});

	test.each([
		["-r base.txt", "other files aren't read"],
		["-rbase.txt", "other files aren't read"],
		["--requirement=base.txt", "other files aren't read"],
		["--constraint c.txt", "other files aren't read"],
		["-e .", "isn't installed from a directory"],
		["--index-url https://elsewhere.example/simple", '"--index-url" isn\'t followed'],
		["-ihttps://elsewhere.example/simple", '"-i" isn\'t followed'],
		["--extra-index-url=https://elsewhere.example/simple", '"--extra-index-url" isn\'t followed'],
		["--trusted-host elsewhere.example", '"--trusted-host" isn\'t followed'],
		["-f https://elsewhere.example/", '"-f" isn\'t followed'],
		["--find-links /etc", '"--find-links" isn\'t followed'],
		["--no-index", '"--no-index" isn\'t followed'],
		["--no-binary :all:", "only wheels are installed"],
		["--config-settings x=y", "isn't followed"],
		["--", "isn't followed"],
		["evil @ file:///etc/passwd", "no git, file, path or URL"],
		["evil@https://elsewhere.example/x", "no git, file, path or URL"],
		["git+https://github.com/pallets/flask", "no git, file, path or URL"],
		["https://elsewhere.example/evil-1.0-py3-none-any.whl", "no git, file, path or URL"],
		["./evil", "no git, file, path or URL"],
		["/etc/evil", "no git, file, path or URL"],
		[".", "no git, file, path or URL"],
		["evil-1.0-py3-none-any.whl", "no git, file, path or URL"],
		["evil-1.0.tar.gz", "no git, file, path or URL"],
		["shout = 1", "it is no requirement"],
		["shout==1.0 --global-option=x", "it is no requirement"],
		["shout==1.0 --hash=md5:00", "it is no requirement"],
		["$" + "{HOME}", "it is no requirement"],
		["shout==1.0\0", "it is no requirement"],
		["shöut", "it is no requirement"],
		[`x${"x".repeat(5000)}`, "4096 characters"],
	])("isn't %s", (line, message) => {
		let error: unknown;
		try {
			of(`flask==3.0\n${line}\n`);
		} catch (reason) {
			error = reason;
		}
		expect(error).toBeInstanceOf(DependencyError);
		expect((error as Error).message).toContain("requirements.txt:2: ");
		expect((error as Error).message).toContain(message);
	});

	test("has bounds", () => {
		expect(() => of(Array.from({ length: 1001 }, (_, i) => `p${i}`).join("\n"))).toThrow("more than 1000 requirements");
		expect(() => of(Buffer.alloc(9 * 1024 * 1024, "#"))).toThrow("at most 8388608 are read");
	});
});
