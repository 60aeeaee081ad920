import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkPython, isBytecode, unfitPath } from "./python.js";
import { Workspace } from "./workspace.js";

const directory = mkdtempSync(join(tmpdir(), "check-python-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const files = (sources: Readonly<Record<string, string>>) =>
	Object.entries(sources).map(([path, text]) => ({ path, bytes: Buffer.from(text) }));

test("nothing of a source is run", async () => {
	using workspace = new Workspace(files({ "index.py": "raise SystemExit(9)\ndef handler(event, context): pass" }));
	expect(await checkPython(workspace.directory, "index.py")).toEqual({ diagnostics: [], hasHandler: true });
});

test("bytecode is the same whenever it is compiled, is taken in place of its source, and names the file as a sandbox has it", async () => {
	const sources = files({
		"index.py": "import lib.a\ndef handler(event, context): return lib.a.f",
		"lib/a.py": "def f(): return {1, 'a', 2.5}",
	});
	const made = async () => {
		using workspace = new Workspace(sources);
		await checkPython(workspace.directory, "index.py");
		return workspace.bytecode();
	};
	const [first, second] = [await made(), await made()];
	expect(first).toEqual(second);
	expect(first.map(({ path }) => path.replace(/cpython-\d+/, "cpython"))).toEqual([
		"__pycache__/index.cpython.pyc",
		"lib/__pycache__/a.cpython.pyc",
	]);
	for (const { path, bytes } of [...sources, ...first]) {
		mkdirSync(dirname(join(directory, path)), { recursive: true });
		writeFileSync(join(directory, path), bytes);
	}
	writeFileSync(join(directory, "lib/a.py"), "another source than the bytecode's, and no Python");
	const script = `import sys; sys.path.insert(0, ${JSON.stringify(directory)}); import lib.a; print(lib.a.f.__code__.co_filename)`;
	const args = ["-I", "-B", "-c", script];
	expect(execFileSync("/usr/bin/python3", args, { encoding: "utf8" }).trim()).toBe(join(directory, "lib/a.py"));
	expect(Buffer.from(first[1]?.bytes ?? []).includes("/function/code/lib/a.py")).toBe(true);
});

test("a list of installed files that is none doesn't end the check", async () => {
	using workspace = new Workspace(files({ "index.py": "def handler(e, c): pass", "x.dist-info/RECORD": `"\0${"x".repeat(200_000)}` }));
	expect((await checkPython(workspace.directory, "index.py")).hasHandler).toBe(true);
});

test("paths that a layer can't hold are found", () => {
	const found = (path: string) =>
		unfitPath([
			{ path: "fits.py", bytes: Buffer.alloc(0) },
			{ path, bytes: Buffer.alloc(0) },
		]);
	expect([found("a/b.py"), found(`${"a".repeat(65)}.py`), found(`${"a/".repeat(54)}b.py`)]).toEqual([undefined, undefined, undefined]);
	for (const path of [`${"a".repeat(66)}.py`, `${"a/".repeat(55)}b.py`, "a\nb.py", "a\x7fb.py"]) expect(found(path)).toBe(path);
	expect([isBytecode("a/__pycache__/b.cpython-311.pyc"), isBytecode("a/b.py")]).toEqual([true, false]);
});
