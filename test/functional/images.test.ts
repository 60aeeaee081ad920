import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { ApiError, createClient } from "@berth/client";
import type { Digest, Problem } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployed, deploy, freshName } from "../harness/functions.js";
import { durableKeysOf } from "../harness/redis.js";
import { LOGIN, Registry } from "../harness/registry.js";
import { Stack } from "../harness/stack.js";
import { ARCHITECTURE, configOf, distribution, sha256 } from "../harness/tenant-image.js";
import { TokenServer } from "../harness/token-server.js";

const run = promisify(execFile);
const SOURCE = "export default ({ name }) => ['hello', name, 'from', process.env.PLACE].join(' ');";

/** Of two stacks that are to open each other's variables. */
const BERTH_SECRETS_KEY = "ab".repeat(32);

let open: Registry;
let closed: Registry;
let tokens: TokenServer;
let tokened: Registry;
let stack: Stack;
/** Has the right login for one registry alone. */
let other: Stack;
let hello: Deployed;
beforeAll(async () => {
	open = await Registry.start();
	closed = await Registry.start("login");
	tokens = await TokenServer.start();
	tokened = await Registry.start({ yaml: tokens.yaml });
	const registries = [open.setting, closed.settingWithLogin, tokened.settingWithLogin].join(",");
	stack = await Stack.start({ BERTH_PREWARMED: "0", BERTH_REGISTRIES: registries, BERTH_SECRETS_KEY });
	hello = await deploy(stack, { source: SOURCE, env: { PLACE: "here" }, memoryMiB: 64 });
	const wrong = [open.setting, `http://${LOGIN.username}:wrong@${closed.host}`].join(",");
	other = await Stack.start({ BERTH_PREWARMED: "0", BERTH_PREWARMED_BUILDS: "0", BERTH_REGISTRIES: wrong, BERTH_SECRETS_KEY });
});
afterAll(async () => {
	await Promise.all([stack?.stop(), other?.stop()]);
	await Promise.all([open, closed, tokened, tokens].map((one) => one?.stop()));
});

/** The problem that something is refused with. */
async function refused(asking: Promise<unknown>): Promise<Problem> {
	const error = await asking.then(
		() => new Error("it was taken"),
		(cause: unknown) => cause,
	);
	if (error instanceof ApiError) return error.problem;
	throw error;
}

const invoked = async (name: string) => (await stack.client.invoke(name, { json: { name: "you" } })).raw.body.toString();

describe("an image", () => {
	it("goes to a registry and comes back, to another stack, as a version that answers", async () => {
		const reference = `${open.host}/team/hello:1`;
		const pushed = await stack.client.pushImage({ function: hello.name, reference });
		expect(pushed).toMatchObject({ state: "done", version: 1, digest: hello.version.image?.digest, blobs: 4 });
		expect(pushed.movedBytes).toBe(pushed.totalBytes);
		const pulled = await other.client.pullImage({ reference });
		// Both stacks have made the same base.
		expect(pulled).toMatchObject({ state: "done", function: "hello", version: 1, digest: pushed.digest, blobs: 3, present: 2 });
		const { version } = await other.client.get("hello");
		expect(version).toMatchObject({ state: "ready", manifest: hello.version.manifest, image: hello.version.image });
		expect((await other.client.invoke("hello", { json: { name: "you" } })).raw.body.toString()).toBe("hello you from here");
	});

	it("goes on on its way, under the id that it had, when the worker is killed", async () => {
		const reference = `${open.host}/team/hello:1`;
		const begun = Promise.withResolvers<void>();
		open.freeze();
		const pulling = stack.client.pullImage({ reference, function: "goes-on" }, { onProgress: () => begun.resolve() });
		await begun.promise;
		await stack.killAndAwaitNext("worker");
		open.thaw();
		expect(await pulling).toMatchObject({ state: "done", function: "goes-on", version: 1 });
		expect(await stack.client.versions("goes-on")).toHaveLength(1);
		expect(await invoked("goes-on")).toBe("hello you from here");
	});

	it("of a project that is removed while it is pulled is refused, and nothing of it stays", async () => {
		const project = freshName("project");
		const reference = `${open.host}/team/late:1`;
		await stack.client.pushImage({ function: hello.name, reference });
		await stack.client.makeProject(project);
		await using owner = createClient({ url: stack.url, key: stack.key, project });
		const begun = Promise.withResolvers<void>();
		open.freeze();
		const pulling = refused(owner.pullImage({ reference, function: "late" }, { onProgress: () => begun.resolve() }));
		await begun.promise;
		await stack.client.removeProject(project);
		open.thaw();
		await pulling;
		const underWay = async () => (await durableKeysOf(stack.dataDir)).filter((key) => key.startsWith("{berth}:transfers:"));
		await expect.poll(underWay).toEqual([]);
		const index = await readFile(join(stack.dataDir, "artifacts/oci/index.json"), "utf8");
		expect(index).not.toContain(`${project}/late`);
		expect(await stack.client.projects()).not.toContainEqual(expect.objectContaining({ name: project }));
	});

	it("isn't sent again where it is; its blobs are mounted into another repository, which is sent the source alone", async () => {
		const reference = `${open.host}/team/again:1`;
		await stack.client.pushImage({ function: hello.name, reference });
		const again = await stack.client.pushImage({ function: hello.name, version: 1, reference });
		expect(again).toMatchObject({ blobs: 4, present: 4, movedBytes: 0, totalBytes: 0 });
		const elsewhere = await stack.client.pushImage({ function: hello.name, reference: `${open.host}/other/place:x` });
		expect(elsewhere).toMatchObject({ blobs: 4, present: 4, movedBytes: hello.version.source.sizeBytes });
	});

	it("is what skopeo sees in the registry, and comes back gzipped from skopeo with the digest it had", async () => {
		const reference = `${open.host}/team/seen:1`;
		const { digest } = await stack.client.pushImage({ function: hello.name, reference });
		const seen = JSON.parse((await run("skopeo", ["inspect", "--tls-verify=false", `docker://${reference}`])).stdout);
		expect(seen).toMatchObject({ Digest: digest });
		const layout = `oci:${join(stack.dataDir, "artifacts/oci")}:default/${hello.name}:1`;
		const zipped = `${open.host}/zipped/hello:1`;
		await run("skopeo", ["copy", "--dest-tls-verify=false", "--dest-compress-format=gzip", layout, `docker://${zipped}`]);
		const manifest = (await run("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${zipped}`])).stdout;
		expect(manifest).toContain("gzip");
		const name = freshName();
		expect(await stack.client.pullImage({ reference: zipped, function: name })).toMatchObject({ digest, version: 1 });
		expect(await invoked(name)).toBe("hello you from here");
	});

	it("is pushed and pulled with a login, by the command line, which lists it", async () => {
		const reference = `${closed.host}/private/hello:2`;
		const push = await stack.berth("image", "push", `${hello.name}:1`, reference);
		expect(push).toMatchObject({ code: 0, stdout: expect.stringContaining(hello.version.image?.digest ?? "?") });
		expect(push.stderr).toMatch(/pushing to .*\/private\/hello:2: 4 blobs/);
		const name = freshName();
		expect(await stack.berth("image", "pull", reference, "--name", name)).toMatchObject({
			code: 0,
			stdout: expect.stringContaining(`${name}:1 `),
		});
		expect(await invoked(name)).toBe("hello you from here");
		const { images } = JSON.parse((await stack.berth("image", "list", "--json")).stdout);
		expect(images).toContainEqual(expect.objectContaining({ function: name, version: 1, digest: hello.version.image?.digest }));
	});

	it("is pushed and pulled with tokens, which are for that repository and no more than is wanted", async () => {
		const reference = `${tokened.host}/with/token:1`;
		const { digest } = await stack.client.pushImage({ function: hello.name, reference });
		const name = freshName();
		expect(await stack.client.pullImage({ reference, function: name })).toMatchObject({ digest });
		expect(await invoked(name)).toBe("hello you from here");
		expect(tokens.scopes).toEqual(["repository:with/token:pull,push", "repository:with/token:pull"]);
	});

	it("that is pulled under a function's name becomes its next version, and answers", async () => {
		const { name } = await deploy(stack, { source: "export default () => 'before';" });
		const reference = `${open.host}/team/next:1`;
		await stack.client.pushImage({ function: hello.name, reference });
		expect(await stack.client.pullImage({ reference, function: name })).toMatchObject({ version: 2 });
		expect(await invoked(name)).toBe("hello you from here");
	});
});

describe("a registry", () => {
	it("that the operator doesn't name is asked nothing", async () => {
		const problem = await refused(stack.client.pullImage({ reference: "127.0.0.1:1/x/y:1" }));
		expect(problem).toMatchObject({ code: "invalid_request", detail: expect.stringContaining("BERTH_REGISTRIES lists those") });
	});

	it("that has no such image, or is named wrongly, says so", async () => {
		expect(await refused(stack.client.pullImage({ reference: `${open.host}/no/where:1` }))).toMatchObject({ code: "image_not_found" });
		expect(await refused(stack.client.pullImage({ reference: "hello:1" }))).toMatchObject({ code: "invalid_request" });
		expect(await refused(stack.client.pullImage({ reference: `${open.host}/a/../b:1` }))).toMatchObject({ code: "invalid_request" });
		expect(await refused(stack.client.pushImage({ function: hello.name, version: 99, reference: `${open.host}/x/y:1` }))).toMatchObject({
			code: "version_not_found",
		});
	});

	it("that refuses the login is a failed push, and a row of berth doctor", async () => {
		expect(await refused(other.client.pullImage({ reference: `${closed.host}/private/hello:2` }))).toMatchObject({
			code: "registry_failed",
			detail: expect.stringContaining("doesn't take the name and password"),
		});
		const row = async (one: Stack) =>
			JSON.parse((await one.berth("doctor", "--json")).stdout).checks.find(
				(check: { name: string }) => check.name === `registry ${closed.host}`,
			);
		expect(await row(other)).toMatchObject({ status: "warning", found: expect.stringContaining("doesn't take the name and password") });
		expect(await row(stack)).toMatchObject({ status: "ok" });
	});
});

/** Puts an image into the registry as it is, whatever it is. */
async function plant(
	tag: string,
	config: unknown,
	layers: readonly { bytes: Buffer; mediaType: string }[],
	change: object = {},
): Promise<string> {
	const stored = await Promise.all([Buffer.from(JSON.stringify(config)), ...layers.map(({ bytes }) => bytes)].map(planted));
	const [head, ...rest] = stored;
	const manifest = {
		schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: { mediaType: "application/vnd.oci.image.config.v1+json", ...head },
		layers: rest.map((blob, i) => ({ mediaType: layers[i]?.mediaType, ...blob })),
		...change,
	};
	const answer = await fetch(`http://${open.host}/v2/stranger/image/manifests/${tag}`, {
		method: "PUT",
		headers: { "content-type": manifest.mediaType },
		body: JSON.stringify(manifest),
	});
	expect(answer.status).toBe(201);
	return `${open.host}/stranger/image:${tag}`;
}

/** Blobs that the registry has: a runtime's layer takes a second each time that it is sent. */
const there = new WeakMap<Buffer, ReturnType<typeof putBlob>>();
function planted(bytes: Buffer): ReturnType<typeof putBlob> {
	const stored = there.get(bytes) ?? putBlob(bytes);
	there.set(bytes, stored);
	return stored;
}

async function putBlob(bytes: Buffer): Promise<{ digest: Digest; size: number }> {
	const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
	const begun = await fetch(`http://${open.host}/v2/stranger/image/blobs/uploads/`, { method: "POST" });
	const ended = await fetch(`${begun.headers.get("location")}&digest=${digest}`, { method: "PUT", body: bytes });
	expect(ended.status).toBe(201);
	return { digest, size: bytes.length };
}

describe("a function by the name of somebody's image", () => {
	const OCI = "application/vnd.oci.image.layer.v1.tar+gzip";
	const app = (tag: string, text: string) => {
		const layer = gzipSync(distribution(`echo ${text}`));
		const config = JSON.parse(configOf([layer], { Cmd: ["/srv/run"] }).toString());
		return plant(tag, config, [{ bytes: layer, mediaType: OCI }]);
	};
	const said = async (name: string) => (await stack.client.request("default", name)).body.toString().trim();

	it("is what its tag stood for when it was deployed; another deploy asks again", async () => {
		const name = freshName();
		const reference = await app("app", "one");
		const first = await stack.client.deploy(name, { image: reference });
		expect(first.version).toMatchObject({
			number: 1,
			state: "ready",
			manifest: { runtime: "custom" },
			source: { kind: "image-reference" },
		});
		expect(await said(name)).toBe("one");
		expect((await stack.berth("buildlog", name)).stdout).toMatch(/it is sha256:[0-9a-f]{64}/);
		await app("app", "two");
		expect(await said(name)).toBe("one");
		expect((await stack.client.deploy(name, { image: reference })).version.number).toBe(2);
		expect([await said(name), await said(`${name}@1`)]).toEqual(["two", "one"]);
	});

	it("is taken out of a list for several processors; and goes to a registry and comes back as other functions do", async () => {
		await app("one-of-many", "listed");
		const manifest = await fetch(`http://${open.host}/v2/stranger/image/manifests/one-of-many`, {
			headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
		});
		const bytes = Buffer.from(await manifest.arrayBuffer());
		const own = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: sha256(bytes), size: bytes.length };
		const manifests = [{ ...own, platform: { os: "linux", architecture: ARCHITECTURE } }];
		const mediaType = "application/vnd.oci.image.index.v1+json";
		const listed = await fetch(`http://${open.host}/v2/stranger/image/manifests/many`, {
			method: "PUT",
			headers: { "content-type": mediaType },
			body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }),
		});
		expect(listed.status).toBe(201);
		const name = freshName();
		const { code, stdout, stderr } = await stack.berth("--json", "deploy", "--image", `${open.host}/stranger/image:many`, "--name", name);
		expect([code, stderr]).toEqual([0, expect.anything()]);
		expect(JSON.parse(stdout)).toMatchObject({ version: { function: name, state: "ready" } });
		expect(await said(name)).toBe("listed");
		const reference = `${open.host}/team/image-function:1`;
		await stack.client.pushImage({ function: name, reference });
		const pulled = freshName();
		await stack.client.pullImage({ reference, function: pulled });
		expect(await said(pulled)).toBe("listed");
	});

	it("that isn't there, is on no registry of the operator's, or is no image's name is refused", async () => {
		const deployed = (image: string) => refused(stack.client.deploy(freshName(), { image }));
		expect(await deployed(`${open.host}/stranger/image:absent`)).toMatchObject({ code: "image_not_found", phase: "unpack" });
		expect(await deployed("registry.example.com/stranger/image:1")).toMatchObject({
			code: "invalid_request",
			detail: expect.stringContaining("BERTH_REGISTRIES"),
		});
		expect(await deployed("busybox")).toMatchObject({ code: "invalid_manifest", issues: [{ field: "image" }] });
	});
});

describe("an image of a stranger's", () => {
	/** Config and layers of an image of ours, to be spoilt. */
	const ours = () => (found ??= readOurs());
	let found: ReturnType<typeof readOurs> | undefined;
	async function readOurs() {
		const read = async (digest: string) => readFile(join(stack.dataDir, "artifacts/oci/blobs/sha256", digest.slice(7)));
		const { digest, base, layers } = hello.version.image as NonNullable<typeof hello.version.image>;
		const manifest = JSON.parse(String(await read(digest)));
		const config = JSON.parse(String(await read(manifest.config.digest)));
		const bytes = await Promise.all([...base.layers, ...layers].map((layer) => read(layer.digest)));
		return { config, layers: bytes.map((each) => ({ bytes: each, mediaType: "application/vnd.oci.image.layer.v1.tar" })) };
	}

	const pull = (reference: string) => refused(stack.client.pullImage({ reference, function: freshName() }));
	const rejected = (text: string) => ({ code: "image_rejected", status: 422, detail: expect.stringContaining(text) });

	it("on a base that this node doesn't have brings it along, and runs on it", async () => {
		const { config, layers } = await ours();
		const [runtime, agent, code] = layers.map(({ bytes }) => bytes) as [Buffer, Buffer, Buffer];
		// The agent's layer of another Berth: the same, and a file more before the two blocks of its end.
		const another = Buffer.concat([agent.subarray(0, -1024), entryOf("foreign", "0", "", "0000644\0"), Buffer.alloc(1024)]);
		const digests = [runtime, another, code].map((bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
		const base = `sha256:${createHash("sha256").update(digests.slice(0, 2).join("\n")).digest("hex")}`;
		const labelled = { ...config.config, Labels: { ...config.config.Labels, "dev.berth.base": base } };
		const foreign = { ...config, config: labelled, rootfs: { type: "layers", diff_ids: digests } };
		const mediaType = "application/vnd.oci.image.layer.v1.tar";
		const reference = await plant(
			"foreign",
			foreign,
			[runtime, another, code].map((bytes) => ({ bytes, mediaType })),
		);
		const name = freshName();
		expect(await stack.client.pullImage({ reference, function: name })).toMatchObject({ blobs: 3, present: 2, version: 1 });
		expect((await stack.client.version(name, 1)).image?.base.digest).toBe(base);
		expect(await invoked(name)).toBe("hello you from here");
	});

	it("is refused without our labels, for another processor, or with a label that isn't ours", async () => {
		const { config, layers } = await ours();
		const labelled = (labels: object) => ({ ...config, config: { ...config.config, Labels: labels } });
		expect(await pull(await plant("bare", labelled({}), layers))).toMatchObject(rejected("Berth didn't build this image"));
		expect(await pull(await plant("cpu", { ...config, architecture: "s390x" }, layers))).toMatchObject(rejected("linux/s390x"));
		const { Labels } = config.config;
		for (const manifest of ["{", '{"memoryMiB":1e9}', '{"__proto__":{"x":1}}', '{"privileged":true}']) {
			const image = await plant("label", labelled({ ...Labels, "dev.berth.manifest": manifest }), layers);
			expect(await pull(image)).toMatchObject(rejected("dev.berth.manifest"));
		}
		const escaping = labelled({ ...Labels, "dev.berth.entry": "../../etc/passwd" });
		expect(await pull(await plant("entry", escaping, layers))).toMatchObject(rejected("dev.berth.entry"));
		const foreign = labelled({ ...Labels, "dev.berth.base": `sha256:${"0".repeat(64)}` });
		expect(await pull(await plant("base", foreign, layers))).toMatchObject(rejected("make that base"));
	});

	it("is refused with a layer that holds a hard link, which only says so once the launcher has seen it", async () => {
		const { config, layers } = await ours();
		const link = linkLayer();
		const diffId = `sha256:${createHash("sha256").update(link).digest("hex")}`;
		const changed = { ...config, rootfs: { type: "layers", diff_ids: [...config.rootfs.diff_ids.slice(0, 2), diffId] } };
		const image = await plant("link", changed, [
			...layers.slice(0, 2),
			{ bytes: link, mediaType: "application/vnd.oci.image.layer.v1.tar" },
		]);
		expect(await pull(image)).toMatchObject(rejected("only files, directories and symbolic links"));
	});

	it("is refused with layers that lie about size, digest or what they unpack to", async () => {
		const before = (await stack.client.list()).map(({ name }) => name);
		const { config, layers } = await ours();
		const code = Buffer.concat([layers[2]?.bytes ?? Buffer.alloc(0), Buffer.alloc(1024)]);
		const diffIds = (last: string) => ({ ...config, rootfs: { type: "layers", diff_ids: [...config.rootfs.diff_ids.slice(0, 2), last] } });
		const zipped = { bytes: gzipSync(code), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
		const lie = `sha256:${"1".repeat(64)}`;
		expect(await pull(await plant("diff", diffIds(lie), [...layers.slice(0, 2), zipped]))).toMatchObject(rejected(`not to ${lie}`));
		const torn = { ...zipped, bytes: zipped.bytes.subarray(0, -20) };
		expect(await pull(await plant("torn", diffIds(lie), [...layers.slice(0, 2), torn]))).toMatchObject(rejected("isn't gzip all through"));
		const longer = Buffer.concat([code, Buffer.alloc(1024)]);
		const plain = { bytes: longer, mediaType: "application/vnd.oci.image.layer.v1.tar" };
		const digest = `sha256:${createHash("sha256").update(longer).digest("hex")}`;
		const image = await plant("damaged", diffIds(digest), [...layers.slice(0, 2), plain]);
		await writeFile(open.blobFile(digest), Buffer.concat([longer.subarray(0, -1), Buffer.from("x")]));
		expect(await pull(image)).toMatchObject(rejected("is damaged"));
		expect((await stack.client.list()).map(({ name }) => name)).toEqual(before);
	});
});

/** A tar with one hard link in it. */
function linkLayer(): Buffer {
	return Buffer.concat([entryOf("link", "1", "/etc/shadow", "0000777\0"), Buffer.alloc(1024)]);
}

/** An entry of a tar without bytes. */
function entryOf(name: string, type: string, linkTarget: string, mode: string): Buffer {
	const header = Buffer.alloc(512);
	header.write(name, 0);
	header.write(mode, 100);
	header.write("0000000\0", 108);
	header.write("0000000\0", 116);
	header.write("00000000000\0", 124);
	header.write("00000000000\0", 136);
	header.write("        ", 148);
	header.write(type, 156);
	header.write(linkTarget, 157);
	header.write("ustar\x0000", 257);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
	return header;
}
