import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ZipEntry } from "../harness/archives.js";
import { type Deployed, deployTar, refusalOf } from "../harness/functions.js";
import { PythonIndex, wheelOf } from "../harness/python-index.js";
import { Stack } from "../harness/stack.js";

let index: PythonIndex;
let stack: Stack;
beforeAll(async () => {
	index = await PythonIndex.open();
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_PYPI_INDEX: index.url });
});
afterAll(async () => {
	await stack?.stop();
	await index?.[Symbol.asyncDispose]();
});

async function deployed(requirements: string, source: string, more: Readonly<Record<string, string>> = {}): Promise<Deployed> {
	const files = Object.entries({ "index.py": source, "requirements.txt": requirements, ...more }).map(([path, body]) => ({ path, body }));
	return await deployTar(stack, files, { runtime: "python3" });
}

const refusal = (requirements: string) => refusalOf(deployed(requirements, "def handler(event, context): pass"));

/** Every path of a function's files, whether it is a link, and which of these variables are set. */
const LOOK = `import os
def handler(event, context):
    found = []
    for parent, directories, names in os.walk("/function"):
        found += [os.path.relpath(os.path.join(parent, name), "/function/code") + ("@" if os.path.islink(os.path.join(parent, name)) else "") for name in directories + names]
    return {"files": sorted(found), "ran": [name for name in os.environ if name.startswith("RAN")], "outside": [path for path in event if os.path.lexists(path)]}
`;
interface Looked {
	readonly files: readonly string[];
	readonly ran: readonly string[];
	readonly outside: readonly string[];
}

const boom = "raise SystemExit('ran')\n";
const telling = (what: string) => `import os; os.environ['RAN_${what}'] = '1'\n`;
const link = (path: string, target: string): ZipEntry => ({ path, body: target, mode: 0o120777 });
const CONFIGURATION = "[global]\nindex-url = http://169.254.169.254/simple\nno-binary = :all:\n";

describe("hostile wheels, and a source with a configuration for pip", () => {
	let looked: Looked;
	beforeAll(async () => {
		index.publish({
			name: "spread",
			version: "1.0",
			files: { "spread/__init__.py": "" },
			entries: [
				link("spread/link", "/etc/passwd"),
				link("spread/directory", "/tmp"),
				{ path: "spread-1.0.data/data/etc/cron.d/spread", body: "* * * * * root true" },
				{ path: "spread-1.0.data/scripts/spread-tool", body: "#!python\n" },
				{ path: "spread-1.0.data/headers/spread.h", body: "" },
			],
		});
		const starts = {
			"starts.pth": telling("PTH"),
			"sitecustomize.py": telling("SITE"),
			"usercustomize.py": telling("USER"),
			"starts.py": "",
		};
		index.publish({ name: "starts", version: "1.0", files: starts });
		const eager = {
			"eager/__init__.py": "",
			"setup.py": boom,
			"eager/conftest.py": boom,
			"pip.py": boom,
			"compileall.py": boom,
			"sys.py": boom,
		};
		index.publish({ name: "eager", version: "1.0", files: eager });
		const deep = { "deep.py": `x = ${"-".repeat(200_000)}1\n`, "py2.py": "print 'two'" };
		index.publish({ name: "deep", version: "1.0", files: deep });
		const made = await deployed("spread\nstarts\neager\ndeep\n", `import eager, starts\n${LOOK}`, {
			"pip.conf": CONFIGURATION,
			".config/pip/pip.conf": CONFIGURATION,
			"setup.cfg": CONFIGURATION,
		});
		looked = await made.result<Looked>(["/etc/cron.d", "/tmp/spread", "/usr/bin/spread-tool"]);
	});

	it("have their links, absolute paths and data files below the packages' directory, as plain files", () => {
		expect(looked.outside).toEqual([]);
		expect(looked.files.filter((path) => path.endsWith("@"))).toEqual([]);
		const own = /^(?:\.|\.config|index\.py|pip\.conf|setup\.cfg|__pycache__|requirements\.txt|site-packages)(?:\/|$)/;
		expect(looked.files.filter((path) => !own.test(path))).toEqual([]);
		expect(looked.files).toContain("site-packages/spread/link");
	});

	it("run nothing at a start: neither a .pth file nor sitecustomize", () => {
		expect(looked.files).toContain("site-packages/starts.pth");
		expect(looked.ran).toEqual([]);
	});

	it("run nothing when they are installed, and what Python's compiler crashes on has no bytecode", () => {
		expect(looked.files).toEqual(expect.arrayContaining(["site-packages/setup.py", "site-packages/pip.py", "site-packages/deep.py"]));
		expect(looked.files.filter((path) => /__pycache__\/(?:deep|py2)\./.test(path))).toEqual([]);
	});
});

describe("a wheel that", () => {
	it.each([
		["climbs", "../../climbs.py"],
		["climbs-by-data", "climbs_by_data-1.0.data/data/../../../x"],
	])("%s out of its directory is refused", async (name, path) => {
		index.publish({ name, version: "1.0", files: {}, entries: [{ path, body: boom }] });
		const { code, detail } = await refusal(name);
		expect([code, detail]).toEqual([
			"install_failed",
			expect.stringMatching(/outside the target directory|Unexpected file|Unknown scheme key/),
		]);
	});

	it("unpacks to more than there is room for is refused, and the next one is installed", async () => {
		const zeros: ZipEntry = { path: "bomb/zeros", body: Buffer.alloc(520 * 1024 * 1024), deflated: true };
		index.put("bomb", "bomb-1.0-py3-none-any.whl", wheelOf({ name: "bomb", version: "1.0", files: {}, entries: [zeros] }));
		const { code, status } = await refusal("bomb");
		expect([code, status]).toEqual(["install_failed", 422]);
		index.publish({ name: "small", version: "1.0", files: { "small.py": "" } });
		expect((await deployed("small", LOOK)).version.state).toBe("ready");
	});

	it("an index lists under another's name isn't installed", async () => {
		index.put("lies", "../../other-1.0-py3-none-any.whl", wheelOf({ name: "other", version: "1.0", files: { "other.py": "" } }));
		index.put("lies", "other-1.0-py3-none-any.whl", wheelOf({ name: "other", version: "1.0", files: { "other.py": "" } }));
		expect((await refusal("lies")).code).toBe("install_failed");
	});
});
