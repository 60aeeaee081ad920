import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { type Deployed, dependenciesOf, deployTar, refusalOf } from "../harness/functions.js";
import { compiledModule, PythonIndex, wheelOf } from "../harness/python-index.js";
import { Stack } from "../harness/stack.js";

let index: PythonIndex;
/** One of the project's, which wants a login. */
let own: PythonIndex;
let stack: Stack;
/** Requirements with their hashes. */
let shout: string;
let louder: string;
beforeAll(async () => {
	[index, own] = await Promise.all([PythonIndex.open(), PythonIndex.open()]);
	shout = index.publish({ name: "shout", version: "1.0", files: { "shout/__init__.py": "def up(text): return text.upper() + '!'\n" } });
	index.publish({ name: "shout", version: "2.0", files: { "shout/__init__.py": "def up(text): return text.upper() + '!!'\n" } });
	louder = index.publish({
		name: "louder-lib",
		version: "1.5",
		metadata: ["Provides-Extra: more", 'Requires-Dist: shout<2; extra == "more"'],
		files: { "louder.py": "from shout import up\n" },
	});
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_PYPI_INDEX: index.url, BERTH_PYPI_INDEXES: own.url });
});
afterAll(async () => {
	await stack?.stop();
	for (const one of [index, own]) await one?.[Symbol.asyncDispose]();
});
afterEach(() => {
	index.html = false;
	index.filesUrl = (file) => `/files/${file}`;
	index.instead = () => false;
});

const UP = "from shout import up\ndef handler(event, context): return up(event['text'])\n";

async function deployed(requirements: string, source = UP, more: Readonly<Record<string, string>> = {}, manifest = {}): Promise<Deployed> {
	const files = { "index.py": source, "requirements.txt": requirements, ...more };
	const entries = Object.entries(files).map(([path, body]) => ({ path, body }));
	return await deployTar(stack, entries, { runtime: "python3", ...manifest });
}

const refusal = (requirements: string) => refusalOf(deployed(requirements));

describe("a source with requirements.txt", () => {
	it("has its packages in a layer of its image, with bytecode, after its own modules and the standard library", async () => {
		const made = await deployed(
			"# what it needs\nshout == 1.0  # loudly\n",
			"import json, sys, os, shout\ndef handler(event, context): return [shout.up('hi'), shout.__cached__, os.path.exists(shout.__cached__), sys.path[0], sys.path[-1]]",
		);
		const [said, cached, ...rest] = await made.result<[string, string, boolean, string, string]>();
		expect([said, ...rest]).toEqual(["HI!", true, "/function/code", "/function/code/site-packages"]);
		expect(cached).toMatch(/^\/function\/code\/site-packages\/shout\/__pycache__\/__init__\.cpython-\d+\.pyc$/);
		expect(dependenciesOf(made.version)).toMatchObject({ cached: false, inImage: true });
		expect(made.version.image?.layers).toHaveLength(2);
		expect(made.version.build?.phases.install).toBeGreaterThan(0);
	});

	it("has what those need, extras and markers looked at, and says what was chosen of what it left open", async () => {
		const made = await deployed('louder-lib[more]>=1 ; python_version >= "3"\nabsent; sys_platform == "win32"\n');
		expect(await made.result({ text: "hi" })).toBe("HI!");
		expect(dependenciesOf(made.version)?.resolved).toEqual([louder, shout]);
		expect(index.asked.filter((line) => line.includes("absent"))).toEqual([]);
	});

	it("shares a layer with every function that asks for the same, in whatever order; nothing is fetched again", async () => {
		const first = await deployed("shout<2\nlouder-lib\n");
		const asks = index.asked.length;
		const second = await deployed("\nlouder-lib\n\n# the same\nshout<2\n--only-binary :all:\n", `${UP}# another\n`);
		expect(dependenciesOf(second.version)).toEqual({ ...dependenciesOf(first.version), cached: true });
		expect(second.version.image?.layers[0]).toEqual(first.version.image?.layers[0]);
		expect(index.asked.length).toBe(asks);
		expect(await second.result({ text: "hi" })).toBe("HI!");
	});

	it("may have compiled packages", async () => {
		const { file, bytes, tag } = compiledModule();
		index.publish({ name: "compiled", version: "1.0", tag, files: { "compiled/__init__.py": "", [`compiled/${file}`]: bytes } });
		const made = await deployed(
			"compiled",
			"from compiled import xxlimited\ndef handler(event, context): return [xxlimited.foo(*event['of']), xxlimited.__file__]",
		);
		expect(await made.result({ of: [20, 22] })).toEqual([42, `/function/code/site-packages/compiled/${file}`]);
	});

	it("is installed from an index that has only pages in HTML, too", async () => {
		index.html = true;
		expect(await (await deployed("shout!=1.0")).result({ text: "hi" })).toBe("HI!!");
	});

	it("that came with its packages has them from there", async () => {
		const asks = index.asked.length;
		const own = { "shout.py": "def up(text): return 'mine'", "shout-9.dist-info/RECORD": "shout.py,,\n" };
		const made = await deployed("shout==9", UP, own);
		expect(await made.result({ text: "hi" })).toBe("mine");
		expect([dependenciesOf(made.version), index.asked.length]).toEqual([undefined, asks]);
	});

	it("that asks for nothing has no such layer", async () => {
		const made = await deployed("# nothing\n\n", "def handler(event, context): return 1");
		expect(dependenciesOf(made.version)).toBeUndefined();
	});

	it("that isn't Python is told so before anything is fetched", async () => {
		const asks = index.asked.length;
		const error = await deployed("shout==1.0", "def handler(:").catch((reason: unknown) => reason);
		expect(error).toMatchObject({ problem: { code: "build_failed", phase: "check" } });
		expect(index.asked.length).toBe(asks);
	});
});

describe("the example with a package", () => {
	it("is deployed as its README says, and escapes what it is given", async () => {
		// In place of PyPI's, which tests don't ask: as much of it as the example uses.
		const source = `from html import escape
class Markup(str):
    def format(self, **values): return Markup(str.format(self, **{name: escape(value) for name, value in values.items()}))
`;
		index.publish({ name: "markupsafe", version: "3.0.2", files: { "markupsafe.py": source } });
		const example = fileURLToPath(new URL("../../examples/python-page", import.meta.url));
		const { code, stdout, stderr } = await stack.berth("--json", "deploy", example);
		expect([code, stderr]).toEqual([0, expect.any(String)]);
		expect(JSON.parse(stdout)).toMatchObject({ version: { state: "ready" } });
		const { body, headers } = await stack.client.request("default", "python-page", { path: "/?name=%3Cb%3E" });
		expect(headers["content-type"]).toBe("text/html; charset=utf-8");
		expect(body.toString()).toContain("<h1>Hello, &lt;b&gt;!</h1>");
	});
});

describe("hashes in requirements.txt", () => {
	it("are what is installed", async () => {
		const [pin, hash] = shout.split(" ");
		expect(await (await deployed(`${pin} \\\n    ${hash} \\\n    --hash=sha256:${"0".repeat(64)}\n`)).result({ text: "hi" })).toBe("HI!");
	});

	it.each<[string, () => string, string]>([
		["aren't those of the index's file", () => `shout==1.0 --hash=sha256:${"0".repeat(64)}`, "aren't those that its hash says"],
		["aren't there for all", () => `${louder.replace("==", "[more]==")}`, "all need one"],
		["are there of what isn't pinned", () => `shout>=1 ${shout.split(" ")[1]}`, "all need one"],
	])("that %s: install_failed", async (_what, requirements, message) => {
		expect(await refusal(requirements())).toMatchObject({ status: 422, code: "install_failed", detail: expect.stringContaining(message) });
	});
});

describe("a package that is built from its source, as its manifest allows", () => {
	const scripts = (...names: readonly string[]) => ({ scripts: [...names] });
	const SAID = "from sourced import said\ndef handler(event, context): return said";
	/** A source distribution with a build backend of its own, whose first lines are these. */
	function sdistOf(name: string, version: string, backend: string, requires: readonly string[] = []): Buffer {
		const top = `${name}-${version}`;
		const build = `${backend}
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "${top}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("${name}.py", f"said = {said!r}\\n")
        wheel.writestr("${top}.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ${name}\\nVersion: ${version}\\n" + needs)
        wheel.writestr("${top}.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("${top}.dist-info/RECORD", "")
    return name
`;
		const project = `[build-system]\nrequires = ${JSON.stringify(requires)}\nbuild-backend = "own"\nbackend-path = ["."]\n`;
		return tarGz(
			{ path: `${top}/pyproject.toml`, body: project },
			{ path: `${top}/own.py`, body: build },
			{ path: `${top}/PKG-INFO`, body: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n` },
		);
	}

	it("is, without an index, with what it says that it is built with; the others come as wheels", async () => {
		index.publish({ name: "builds-it", version: "2.0", files: { "builds_it.py": "word = 'built with it'\n" } });
		const reach = `try: urllib.request.urlopen("${index.url}"); reached = True
except OSError: reached = False`;
		const backend = `import urllib.request, builds_it\n${reach}\nsaid, needs = (builds_it.word, reached), "Requires-Dist: shout<2\\n"`;
		const pin = index.put("sourced", "sourced-1.1.tar.gz", sdistOf("sourced", "1.1", backend, ["builds-it>=2"]), "1.1");
		index.put("sourced", "sourced-1.0.tar.gz", sdistOf("sourced", "1.0", "said, needs = 'old', ''"), "1.0");
		const made = await deployed("Sourced>=1\nshout==1.0\n", SAID, {}, scripts("sourced"));
		expect(await made.result()).toEqual(["built with it", false]);
		expect(dependenciesOf(made.version)?.resolved?.map((line) => line.split(" ")[0])).toEqual(["shout==1.0", "sourced==1.1"]);
		const again = await deployed(`${pin}\n${shout}\n`, `${SAID}# with hashes`, {}, scripts("sourced"));
		expect(await again.result()).toEqual(["built with it", false]);
	});

	it("isn't without all that it needs in requirements.txt, nor without its source, nor by a build that fails", async () => {
		const needy = sdistOf("needy", "1.0", "said, needs = 'x', 'Requires-Dist: shout\\n'");
		index.put("needy", "needy-1.0.tar.gz", needy);
		index.put("fails", "fails-1.0.tar.gz", sdistOf("fails", "1.0", "raise SystemExit('it is so')"));
		for (const [requirements, name, code, message] of [
			["needy", "needy", "install_failed", /has to name all that is needed.*shout/],
			["fails", "fails", "install_failed", /it is so/],
			["shout==1.0", "shout", "install_failed", /no source distribution that fits shout==1\.0 \(those of shout: none\)/],
			["shout==1.0", "needy", "dependencies_rejected", /"needy", which isn't in requirements\.txt/],
		] as const) {
			const problem = await refusalOf(deployed(requirements, SAID, {}, scripts(name)));
			expect(problem).toMatchObject({ status: 422, code, detail: expect.stringMatching(message) });
		}
	});
});

describe("a requirement that can't be installed", () => {
	it.each<[string, string, string]>([
		["that there is none of", "no-such-package==1.0", "the index has no package of that name. pip said:"],
		["in a version that there is none of", "shout==7", "from versions: 1.0, 2.0"],
		["that contradicts another", "louder-lib[more]\nshout>=2", "contradict each other"],
	])("because it asks for what %s is told with pip's words", async (_what, requirements, message) => {
		expect(await refusal(requirements)).toMatchObject({ status: 422, code: "install_failed", detail: expect.stringContaining(message) });
	});

	it("as there is no wheel for it, only sources or another platform's, is told that only wheels are installed", async () => {
		index.put("sources", "sources-1.0.tar.gz", tarGz({ path: "sources-1.0/setup.py", body: "raise SystemExit('run')" }));
		index.publish({ name: "windows", version: "1.0", tag: "cp39-cp39-win_amd64", files: { "windows.py": "" } });
		for (const name of ["sources", "windows"]) {
			const { code, detail } = await refusal(name);
			expect([code, detail]).toEqual([
				"install_failed",
				expect.stringMatching(/only wheels are installed.*the manifest's `scripts` name it/),
			]);
			expect(detail).toContain(`No matching distribution found for ${name}`);
		}
		expect(index.asked.filter((line) => line.includes("sources-1.0"))).toEqual([]);
	});

	it("because its bytes aren't those that the index says is told so", async () => {
		index.publish({ name: "swapped", version: "1.0", files: { "swapped.py": "" } });
		index.replace("swapped-1.0-py3-none-any.whl", wheelOf({ name: "swapped", version: "1.0", files: { "swapped.py": "other = 1" } }));
		expect(await refusal("swapped")).toMatchObject({
			code: "install_failed",
			detail: expect.stringContaining("aren't those that its hash"),
		});
	});

	it("because a line leads elsewhere is refused by that line before anything is fetched", async () => {
		const asks = index.asked.length;
		const { status, code, detail } = await refusal("shout==1.0\nevil @ https://elsewhere.example/evil.whl\n");
		expect([status, code]).toEqual([422, "dependencies_rejected"]);
		expect(detail).toContain('requirements.txt:2: "evil @ https://elsewhere.example/evil.whl": packages come from one index');
		expect(index.asked.length).toBe(asks);
	});
});

describe("an index of the project's", () => {
	const TOKEN = "pypi_S3cr3t";
	const host = () => new URL(own.url).host;
	const named = (requirement: string) => `--index-url ${own.url}/\n${requirement}\n`;
	beforeAll(() => {
		own.publish({ name: "shout", version: "3.0", files: { "shout.py": "def up(text): return text.upper() + ' (ours)'\n" } });
		own.wants = `Bearer ${TOKEN}`;
	});

	it("is asked for nothing before it is set, nor is any other that a source names", async () => {
		for (const line of [named("shout"), "-i https://elsewhere.example/simple\nshout", `-i ${own.url}/../../secret/simple\nshout`]) {
			expect(await refusal(line)).toMatchObject({
				code: "dependencies_rejected",
				detail: expect.stringMatching(
					/requirements\.txt:1: "(?:-i|--index-url)" isn't followed: .* is no index of this project .*berth registry set/,
				),
			});
		}
		expect(await refusal(`--extra-index-url ${own.url}\nshout`)).toMatchObject({ detail: expect.stringMatching(/could come from either/) });
		expect(own.asked).toEqual([]);
	});

	it("wants its login, which it alone is sent, and has the packages of whoever names it", async () => {
		await stack.client.setPackageRegistry(host(), { scopes: [] });
		expect(await refusal(named("shout"))).toMatchObject({
			code: "install_failed",
			detail: expect.stringMatching(/wants a login; `berth registry set/),
		});
		await stack.client.setPackageRegistry(host(), { scopes: [], token: TOKEN });
		const asks = index.asked.length;
		expect(await (await deployed(named("shout"))).result({ text: "hi" })).toBe("HI (ours)");
		expect(index.asked.length).toBe(asks);
		expect(own.authorizations.at(-1)).toBe(`Bearer ${TOKEN}`);
		// Who doesn't name it has the installation's, without that login.
		expect(await (await deployed("shout==2.0", `${UP}# not ours`)).result({ text: "hi" })).toBe("HI!!");
		expect(new Set(index.authorizations)).toEqual(new Set([undefined]));
		const said = JSON.stringify([await refusal(named("absent")), await stack.client.packageRegistries()]);
		expect(said).not.toContain(TOKEN);
	});

	it("removed, is used no longer, nor is what was built of it", async () => {
		await stack.client.removePackageRegistry(host());
		expect(await refusal(named("shout"))).toMatchObject({ code: "dependencies_rejected" });
	});
});

describe("an index that", () => {
	it("has its files at another host gives none of them", async () => {
		index.filesUrl = (file) => `http://169.254.169.254/files/${file}`;
		expect(await refusal("louder-lib==1.5")).toMatchObject({
			code: "registry_unavailable",
			detail: expect.stringMatching(/has louder_lib-1\.5-py3-none-any\.whl at 169\.254\.169\.254, from where nothing is fetched/),
		});
	});

	it("redirects isn't followed", async () => {
		index.instead = (_, response) => response.writeHead(302, { location: `${stack.url}/livez` }).end() !== undefined;
		expect(await refusal("moved")).toMatchObject({ code: "registry_unavailable", detail: expect.stringContaining("isn't followed") });
	});

	it("fails is told as that, and its next answer is taken", async () => {
		index.instead = (_, response) => response.writeHead(503).end() !== undefined;
		expect(await refusal("shout==2.0")).toMatchObject({
			status: 503,
			code: "registry_unavailable",
			detail: expect.stringContaining("503"),
		});
		index.instead = () => false;
		expect(await (await deployed("shout==2.0")).result({ text: "hi" })).toBe("HI!!");
	});

	it("was only ever asked by GET for what the requirements name", () => {
		const asked = index.asked.map((line) =>
			line.replace(/^GET (?:\/simple\/([\w-]+)\/|\/files\/([a-z_]+)-[\w.-]+\.(?:whl|tar\.gz))$/, "$1$2"),
		);
		const known = new Set([
			"shout",
			"louder-lib",
			"louder_lib",
			"compiled",
			"no-such-package",
			"sources",
			"sourced",
			"builds-it",
			"builds_it",
			"needy",
			"fails",
			"windows",
			"swapped",
			"moved",
			"markupsafe",
		]);
		expect(asked.filter((name) => !known.has(name))).toEqual([]);
	});
});
