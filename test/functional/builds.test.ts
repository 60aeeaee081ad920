import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Diagnostic, Problem } from "@berth/contracts";
import { describe, expect, it } from "vitest";
import { type TarEntry, tarGz, type ZipEntry, zip } from "../harness/archives.js";
import { eventually } from "../harness/eventually.js";
import { deploy, freshName, json, refusalOf } from "../harness/functions.js";
import { putFunction, send } from "../harness/raw-http.js";
import { durableKeysOf } from "../harness/redis.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const OK: TarEntry = { path: "index.js", body: "export default () => 'ok';" };

function refusedArchive(kind: "tar.gz" | "zip", bytes: Uint8Array): Promise<Problem> {
	return refusalOf(stack.client.deployArchive(freshName(), { kind, bytes }));
}

/** How a copy of what is known of a function begins. */
const COPY = '{"shape":1,';

/** Every file of the artifact store, except what a build may leave: a failed version's source. */
function storedBlobs(): readonly string[] {
	return ["oci/blobs/sha256", "keys", "incoming", "payloads", "queued"].flatMap((place) =>
		readdirSync(join(stack.dataDir, "artifacts", place)).map((name) => `${place}/${name}`),
	);
}

/**
 * One thing may be new: the copy of what is known of a function comes a moment after the answer, and is written beside before it is put in place.
 */
async function expectNothingNew(before: readonly string[]): Promise<void> {
	const added = storedBlobs().filter((blob) => !before.includes(blob));
	const isIncoming = (blob: string) => blob.startsWith("incoming/");
	expect(added.filter((blob) => !isIncoming(blob))).toEqual([]);
	for (const path of added.filter(isIncoming).map((blob) => join(stack.dataDir, "artifacts", blob))) {
		const text = await eventually(() => {
			const read = existsSync(path) ? readFileSync(path, "utf8") : COPY;
			if (read === "") throw new Error(`${path} isn't written yet`);
			return read;
		});
		expect(text).toContain(COPY);
	}
}

describe("a source that doesn't build", () => {
	it("says file, line and column of each mistake", async () => {
		const source = "export default () => {\n\tconst one = ;\n};\n";
		const problem = await refusalOf(stack.client.deploy(freshName(), { source, filename: "order.ts" }));
		expect(problem).toMatchObject({ status: 422, code: "build_failed", fault: "caller", phase: "bundle" });
		const [first] = problem["diagnostics"] as Diagnostic[];
		expect(first).toMatchObject({ severity: "error", line: 2, column: 14, lineText: "\tconst one = ;" });
		expect(first?.file).toMatch(/order\.ts$/);
		expect(problem.issues?.[0]?.field).toMatch(/order\.ts:2:14$/);
	});

	it("says what it imports that isn't there", async () => {
		const problem = await refusalOf(stack.client.deploy(freshName(), { source: "import x from 'left-pad';\nexport default () => x;" }));
		expect(problem).toMatchObject({ status: 422, code: "build_failed" });
		expect(JSON.stringify(problem["diagnostics"])).toContain("left-pad");
	});

	it.each(["export const other = 1;", "const x = 1;", "export {};"])("because it exports no handler: %s", async (source) => {
		const problem = await refusalOf(stack.client.deploy(freshName(), { source, filename: "index.js" }));
		expect(problem).toMatchObject({ status: 422, code: "no_handler" });
		expect(problem.detail).toMatch(/handler/);
	});

	it.each(["export default 5;", "export default {};", "module.exports = { a: 1 };", "export const handler = 1;"])(
		"or what only its values tell is no handler, which the first invocation says with the shapes there are: %s",
		async (source) => {
			const answer = await (await deploy(stack, { source, filename: "index.js" })).invoke();
			expect(answer).toMatchObject({ outcome: "init_error", problem: { status: 502, code: "init_error" } });
			expect(answer.problem?.detail).toMatch(/no handler: its (default export|export `handler`) is .*; export default a function/);
		},
	);

	it("leaves the version before it serving, and is shown as failed", async () => {
		const deployed = await deploy(stack, { source: "export default () => 'before';" });
		expect(await refusalOf(stack.client.deploy(deployed.name, { source: "export default () => {" }))).toMatchObject({ version: 2 });
		expect(await deployed.result()).toBe("before");
		expect(await stack.client.get(deployed.name)).toMatchObject({ live: 1, latest: 2, version: { number: 1 } });
		const [failed] = await stack.client.versions(deployed.name);
		expect(failed).toMatchObject({ number: 2, state: "failed", failure: { code: "build_failed", phase: "bundle" } });
		const third = await deploy(stack, { name: deployed.name, source: "export default () => 'after';" });
		expect(third.version.number).toBe(3);
		expect(await deployed.result()).toBe("after");
	});

	it("of a function that has no other version answers invocations with the build's own failure, not to be tried again", async () => {
		const name = freshName();
		const { detail } = await refusalOf(stack.client.deploy(name, { source: "export default (" }));
		await expect(stack.client.invoke(name)).rejects.toMatchObject({
			problem: {
				status: 409,
				code: "function_build_failed",
				retryable: false,
				detail: expect.stringContaining(detail),
				failure: { code: "build_failed", phase: "bundle" },
			},
		});
	});

	it("leaves nothing half-made in the artifact store", async () => {
		const before = storedBlobs();
		await refusalOf(stack.client.deploy(freshName(), { source: "export default {" }));
		await refusedArchive("tar.gz", tarGz({ path: "../up.js", body: "x" }));
		await refusedArchive("zip", Buffer.from("no zip"));
		await expectNothingNew(before);
	});
});

describe("a deploy that is refused before it is built", () => {
	it("leaves nothing in the artifact store or in Redis", async () => {
		const files = storedBlobs();
		// Only what is new counts: the source of a build that failed before goes a moment after its answer.
		const sourcesOf = () => readdirSync(join(stack.dataDir, "artifacts", "sources", "sha256"));
		const sources = sourcesOf();
		const keys = await durableKeysOf(stack.dataDir);
		const name = freshName();
		const put = (body: string, type?: string) => putFunction(stack, name, body, { ...(type && { type }) });
		expect((await put("{")).status).toBe(400);
		expect((await put('{"source":"export default () => 1","memory":1}')).status).toBe(400);
		expect((await put("", "application/gzip")).status).toBe(400);
		expect((await put("x", "text/plain")).status).toBe(415);
		await expectNothingNew(files);
		expect(sourcesOf().filter((source) => !sources.includes(source))).toEqual([]);
		expect((await durableKeysOf(stack.dataDir)).filter((key) => !keys.includes(key))).toEqual([]);
		expect(json(await send(stack, { path: `/v1/functions/${name}` }))).toMatchObject({ status: 404 });
	});
});

describe("an archive that holds what it mustn't", () => {
	it.each<[string, TarEntry]>([
		["a path that leads upwards", { path: "../escape.js", body: "x" }],
		["a FIFO", { path: "pipe", type: "6" }],
		["a name twice", { path: "index.js", body: "export default () => 'other';" }],
	])("as tar, %s, is refused by name", async (_, entry) => {
		const problem = await refusedArchive("tar.gz", tarGz(OK, entry));
		expect(problem).toMatchObject({ status: 422, code: "archive_rejected", phase: "unpack" });
		expect(problem.detail).toContain(entry.path.split("/").at(-1));
	});

	it.each<[string, ZipEntry]>([
		["a path that leads upwards with backslashes", { path: "..\\escape.js", body: "x" }],
		["an absolute path", { path: "/escape.js", body: "x" }],
		["a name twice", { path: "index.js", body: "export default () => 'other';" }],
	])("as zip, %s, is refused", async (_, entry) => {
		expect(await refusedArchive("zip", zip({ path: OK.path, body: OK.body as string }, entry))).toMatchObject({
			status: 422,
			code: "archive_rejected",
			phase: "unpack",
		});
	});

	it.each<[string, "tar.gz" | "zip", Buffer]>([
		["no tar at all", "tar.gz", gzipSync("hello")],
		["no gzip at all", "tar.gz", Buffer.from("hello")],
		["no zip at all", "zip", Buffer.from("PK\x03\x04 and nothing else")],
		["a tar that is cut short", "tar.gz", gzipSync(Buffer.alloc(700, 0x61))],
	])("%s is refused in words", async (_, kind, bytes) => {
		const problem = await refusedArchive(kind, bytes);
		expect(problem).toMatchObject({ status: 422, code: "archive_rejected" });
		expect(problem.detail.length).toBeGreaterThan(10);
	});

	it("no entry that could be the function is refused, and names what was looked for", async () => {
		const problem = await refusedArchive("tar.gz", tarGz({ path: "readme.md", body: "# hi" }));
		expect(problem.status).toBe(422);
		expect(problem.detail).toContain("index");
	});

	it("an entry in the manifest that the archive hasn't got is refused by name", async () => {
		const problem = await refusalOf(
			stack.client.deployArchive(freshName(), { kind: "tar.gz", bytes: tarGz(OK), manifest: { entry: "src/main.ts" } }),
		);
		expect(problem.status).toBe(422);
		expect(problem.detail).toContain("src/main.ts");
	});

	it("doesn't keep the next deploy from being built", async () => {
		await refusedArchive("tar.gz", gzipSync(Buffer.alloc(300 * 1024 * 1024)));
		expect(await (await deploy(stack, { source: `export default () => ${JSON.stringify(freshName())};` })).result()).toBeTypeOf("string");
	});
});
