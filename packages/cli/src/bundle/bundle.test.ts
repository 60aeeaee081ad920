import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { loadSettings } from "@berth/config";
import { afterEach, beforeEach, expect, test } from "vitest";
import { collect } from "./collect.js";
import { lineToShow } from "./log-lines.js";
import { Redaction } from "./redaction.js";
import { classOf } from "./redis-figures.js";
import { placeOf, writeTgz } from "./write.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "berth-bundle-"));
});
afterEach(() => rm(directory, { recursive: true }));

const SEEDED = {
	redis: "pw-of-the-redis",
	registry: "pw/of,registry",
	bucket: "bucket-secret-1",
	header: "collector-key-1",
	tls: "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDseeded",
	sealing: "0123456789abcdef".repeat(4),
	admin: `berth_${"Ab3".repeat(14)}x`,
};

const settings = () =>
	loadSettings({
		BERTH_DATA_DIR: directory,
		BERTH_DURABLE_REDIS_URL: `redis://me:${SEEDED.redis}@127.0.0.1:1`,
		BERTH_REGISTRIES: `https://me:${encodeURIComponent(SEEDED.registry)}@registry.example`,
		BERTH_PAYLOAD_STORE: `s3://AKIASEEDED:${SEEDED.bucket}@data/team?endpoint=http://127.0.0.1:1`,
		BERTH_SECRETS_KEY: SEEDED.sealing,
		BERTH_TLS_CERT: join(directory, "tls.pem"),
		BERTH_TLS_KEY: join(directory, "tls.key"),
		OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318",
		OTEL_EXPORTER_OTLP_HEADERS: `x-key=${SEEDED.header}`,
	});

/** Every form in which somebody could read it. */
const forms = (secret: string) => [
	secret,
	encodeURIComponent(secret),
	Buffer.from(secret).toString("base64").replace(/=+$/, ""),
	Buffer.from(secret).toString("hex"),
];

test("of a stack that isn't there it has what can be had, says what can't, and none of this machine's secrets though logs are full of them", async () => {
	await writeFile(join(directory, "admin.key"), `${SEEDED.admin}\n`);
	await writeFile(join(directory, "tls.key"), `-----BEGIN PRIVATE KEY-----\n${SEEDED.tls}\n-----END PRIVATE KEY-----\n`);
	await mkdir(join(directory, "logs"));
	const said = Object.values(SEEDED)
		.flatMap(forms)
		.map((form) => `somebody printed ${form}`);
	await writeFile(join(directory, "logs", "worker.log"), `${said.join("\n")}\nthe end\n`);
	const { files, missing } = await collect(settings(), "1.2.3");
	const text = Object.values(files).join("\n");
	for (const secret of Object.values(SEEDED).flatMap(forms)) expect(text).not.toContain(secret);
	expect(files["logs/worker.log"]).toContain("somebody printed (left out)");
	expect(files["logs/worker.log"]).toContain("the end");
	expect(JSON.parse(files["settings.json"] ?? "")).toMatchObject({
		BERTH_DURABLE_REDIS_URL: "redis://127.0.0.1:1",
		BERTH_SECRETS_KEY: "(set)",
		BERTH_REGISTRIES: "https://registry.example",
	});
	expect(missing.map(({ path }) => path).sort()).toEqual([
		"metrics.txt",
		"nodes.json",
		"processes.json",
		"redis-durable.json",
		"redis-fast.json",
	]);
	const manifest = JSON.parse(files["manifest.json"] ?? "") as { readonly files: readonly { readonly path: string }[] };
	expect([...manifest.files.map(({ path }) => path), "manifest.json"].sort()).toEqual(Object.keys(files).sort());
});

test.each([
	["login https://me:hunter2@host/x", "hunter2"],
	["authorization: Bearer abcdefgh12345", "abcdefgh12345"],
	["posting to https://example.com/cb/T0PS3CRET?sig=1", "T0PS3CRET"],
	["POST /hooks/4f2a8c refused", "4f2a8c"],
	["password=hunter2, next", "hunter2"],
	["ERR unknown command 'X', with args beginning with: 'tenant-value'", "tenant-value"],
	["-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----", "MIIabc"],
	["v1.0a1b2c3d.c2VhbGVk.x", "c2VhbGVk"],
	["got ghp_abcdefghijklmnop0123", "abcdefghijklmnop0123"],
	[`digest ${"9f".repeat(32)}`, "9f9f"],
])("what looks like a secret goes: %s", (line, secret) => {
	expect(new Redaction([]).said(line)).not.toContain(secret);
});

test("ids, digests of images and places in our code stay: they are what somebody looks for", () => {
	const line = `inv_0123456789abcdefghijklmnop of sha256:${"9f".repeat(32)} at /opt/berth/packages/gateway/dist/main.js:12:3`;
	expect(new Redaction([]).said(line)).toBe(line);
});

test("of a line in JSON only fields that we make are shown, of an error not what it carries", () => {
	const line = {
		level: 50,
		msg: "no",
		path: "/hooks/abc",
		payload: "tenant",
		err: { type: "E", message: "m", command: { args: ["tenant"] } },
	};
	expect(JSON.parse(lineToShow(JSON.stringify(line)))).toEqual({
		level: 50,
		msg: "no",
		path: "(left out)",
		payload: "(left out)",
		err: { type: "E", message: "m" },
	});
});

test.each([
	["{berth}:version:default/hello:3", "{berth}:version:…"],
	["{berth}:version:default/hello:3:log", "{berth}:version:…:log"],
	["{berth}:hook:abc:claim:def", "{berth}:hook:…:claim:…"],
	["berth:q:b-default/hello:wait", "berth:q:b-…:wait"],
	["berth:q:i-node_1:77", "berth:q:i-…:…"],
	["berth:nodes", "berth:nodes"],
	["session:of-somebody", "(not Berth's)"],
	["{berth}:Secret/hunter2", "(not Berth's)"],
])("the kind of %s names nobody", (key, kind) => expect(classOf(key)).toBe(kind));

test("it is its owner's alone, whole, and over nothing", async () => {
	const place = placeOf(join(directory, "b.tgz"));
	await writeTgz(place, { "a.txt": "said" });
	expect((await stat(place)).mode & 0o777).toBe(0o600);
	expect(gunzipSync(await readFile(place)).toString("latin1")).toContain("berth-bundle/a.txt");
	await expect(writeTgz(place, {})).rejects.toThrow("is there already: name a new file");
	await expect(writeTgz(join(directory, "no/b.tgz"), {})).rejects.toThrow("there is no directory for");
	expect(() => placeOf("b.zip")).toThrow("ends in .tgz");
});
