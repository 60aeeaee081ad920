import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSettings, nodeIdOf } from "@berth/config";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { identityOf } from "../supervisor/process-identity.js";
import { type SupervisorState, writeSupervisorState } from "../supervisor/state-file.js";
import { firstCertificate } from "../tls-trust.js";
import { checkStack } from "./stack.js";

/** What a machine wants that isn't all of its stack. */
const SHARED = {
	BERTH_DURABLE_REDIS_URL: "redis://127.0.0.1:1",
	BERTH_FAST_REDIS_URL: "redis://127.0.0.1:1",
	BERTH_PAYLOAD_STORE: "s3://key:secret@bucket/?region=r&endpoint=http://127.0.0.1:1",
	BERTH_REGISTRIES: "http://127.0.0.1:1",
	BERTH_IMAGE_REPOSITORY: "127.0.0.1:1/berth",
	BERTH_INTERNAL_HOST: "127.0.0.1",
};

let directory: string;
let server: Server;
/** What the gateway's settings name. */
let file: { readonly certificate: string; readonly key: string };
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "doctor-stack-"));
	for (const name of ["first", "second", "third"]) {
		const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pathOf(name, "key")];
		execFileSync("openssl", ["req", "-x509", ...kind, "-out", pathOf(name, "crt"), "-subj", `/CN=${name}`, "-days", "2"], {
			stdio: "pipe",
		});
	}
	file = { certificate: pathOf("now", "crt"), key: pathOf("now", "key") };
	// What a gateway says of itself when it is ready; its certificate is what matters here.
	server = createServer(pair("second"), (_, response) => response.setHeader("content-type", "application/json").end('{"status":"ready"}'));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
	rmSync(directory, { recursive: true });
});
beforeEach(() => server.setSecureContext(pair("second")));

describe("the certificate of a gateway that serves", () => {
	test("what its file has is nothing to speak of", async () => {
		put("second");
		expect(await found("second")).toEqual([expect.objectContaining({ name: "stack", status: "ok" })]);
	});

	test("what it was started with, and not what its file has, is a warning", async () => {
		put("first");
		expect(await found("second")).toEqual([
			expect.objectContaining({ name: "stack", status: "ok" }),
			expect.objectContaining({ name: "certificate", status: "warning", found: expect.stringContaining("that it was started with") }),
		]);
	});

	test("another one than either is told by what it is, and the gateway is asked all the same", async () => {
		put("first");
		const [stack, certificate] = await found("third");
		expect(stack).toMatchObject({ name: "stack", status: "ok" });
		expect(certificate).toMatchObject({ name: "certificate", status: "warning", mend: expect.stringContaining("start the stack again") });
		expect(certificate?.found).toContain("one for CN=second, issued by itself, good until ");
		expect(certificate?.found).toContain(new X509Certificate(readFileSync(pathOf("second", "crt"))).fingerprint256);
	});

	test("another one than either, while its file has none, is told with what is wrong with the file", async () => {
		writeFileSync(file.certificate, "none");
		const [stack, certificate] = await found("third");
		expect(stack).toMatchObject({ status: "ok" });
		expect(certificate).toMatchObject({ name: "certificate", status: "warning", found: expect.stringContaining("is broken") });
		expect(certificate?.found).toContain("one for CN=second");
	});
});

test.each([
	["starting", "warning"],
	["ready", "ok"],
] as const)("a machine without an address is well once it is ready: %s", async (phase, status) => {
	expect(await saidOf({ phase })).toEqual([expect.objectContaining({ name: "stack", status })]);
});

describe("a worker that is ready", () => {
	const lease = { id: "", incarnation: "1", startedAtMs: 1 };

	test.each([
		["is listed, and takes work", lease, "ok", "takes work"],
		["is drained", { ...lease, draining: true }, "warning", "it takes nothing new"],
		["is being started again", { ...lease, draining: true, returns: true }, "failed", "being started again"],
		["is listed no more", undefined, "failed", "gateways give it nothing"],
	] as const)("%s, as its lease says", async (_, said, status, words) => {
		await using redis = await RedisServer.start();
		// A database of its own, as the stack's connections take it from the address.
		const env = { ...SHARED, BERTH_ROLES: "worker", BERTH_FAST_REDIS_URL: `${redis.url}?db=2` };
		const node = nodeIdOf(loadSettings({ BERTH_DATA_DIR: directory, ...env }));
		if (said !== undefined) await redis.client((client) => client.multi().select(2).set(`berth:node:${node}`, JSON.stringify(said)).exec());
		const [stack, found] = await saidOf({ phase: "ready" }, env);
		expect(stack).toMatchObject({ name: "stack", status: "ok" });
		expect(found).toMatchObject({ name: "node", status, found: expect.stringContaining(words) });
	});

	test("whose fast Redis doesn't answer can't be known to anybody", async () => {
		const [, found] = await saidOf({ phase: "ready" }, { ...SHARED, BERTH_ROLES: "worker" });
		expect(found).toMatchObject({ name: "node", status: "failed", found: expect.stringContaining("ECONNREFUSED") });
	});

	test("whose fast Redis is there and says nothing is told which server that is: nothing that the supervisor keeps has ended", async () => {
		await using redis = await RedisServer.start();
		redis.freeze();
		try {
			const [, found] = await saidOf({ phase: "ready" }, { ...SHARED, BERTH_ROLES: "worker", BERTH_FAST_REDIS_URL: redis.url });
			const mend = expect.stringContaining(`See to the server of BERTH_FAST_REDIS_URL (${redis.url}`);
			expect(found).toMatchObject({ name: "node", status: "failed", found: expect.stringContaining("doesn't answer in 3 s"), mend });
		} finally {
			redis.resume();
		}
	});
});

/** What is said of a stack whose gateway is this server. */
async function found(startedWith: string) {
	const { port } = server.address() as AddressInfo;
	return saidOf({
		phase: "ready",
		url: `https://127.0.0.1:${port}`,
		certificate: file.certificate,
		certificateKey: file.key,
		startedWith: await firstCertificate(pathOf(startedWith, "crt")),
	});
}

async function saidOf(
	state: Omit<SupervisorState, "supervisor" | "startedAt" | "children">,
	env: Readonly<Record<string, string>> = { BERTH_ROLES: "gateway", ...SHARED },
) {
	const supervisor = await identityOf(process.pid);
	if (supervisor === undefined) throw new Error("this process has no identity");
	const settings = loadSettings({ BERTH_DATA_DIR: directory, ...env });
	mkdirSync(join(directory, "run"), { recursive: true });
	await writeSupervisorState(settings.paths, { ...state, supervisor, startedAt: new Date().toISOString(), children: [] });
	return (await checkStack(settings)).checks;
}

function put(name: string): void {
	copyFileSync(pathOf(name, "crt"), file.certificate);
	copyFileSync(pathOf(name, "key"), file.key);
}

function pathOf(name: string, kind: "crt" | "key"): string {
	return join(directory, `${name}.${kind}`);
}

function pair(name: string) {
	return { cert: readFileSync(pathOf(name, "crt")), key: readFileSync(pathOf(name, "key")) };
}
