import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { request } from "node:https";
import { type AddressInfo, connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect } from "node:tls";
import { readTls, type TlsFiles } from "@berth/config";
import type { createLogger } from "@berth/telemetry";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createGatewayServer, type GatewayServer } from "./server.js";
import { expiryOf, followTls } from "./tls.js";

let directory: string;
beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "tls-"));
	for (const name of ["first", "second"]) made(name, "-days", "2");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): TlsFiles => ({ certificate: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) });

/** A certificate of its own making, and its key. */
function made(name: string, ...more: readonly string[]): void {
	const { certificate, key } = at(name);
	const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
	const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate];
	execFileSync("openssl", ["req", "-x509", ...kind, ...subject, ...more], { stdio: "pipe" });
}

describe("certificate and key are refused with what is wrong:", () => {
	const files = (change: Partial<TlsFiles>) => () => readTls({ ...at("first"), ...change });
	const written = (name: string, content: string) => {
		const path = join(directory, name);
		writeFileSync(path, content);
		return path;
	};

	test("a file that isn't there", () =>
		expect(files({ key: join(directory, "none") })).toThrow(/^BERTH_TLS_KEY: .*none can't be read: there is no such file/));
	test("no certificate", () => expect(files({ certificate: written("junk", "junk") })).toThrow("has no certificate in PEM"));
	test("no key", () => expect(files({ key: at("first").certificate })).toThrow("has no private key in PEM"));
	test("another's key", () => expect(files({ key: at("second").key })).toThrow("isn't that of the first certificate in"));
	test("an encrypted key", () => {
		const out = join(directory, "locked.key");
		execFileSync("openssl", ["pkcs8", "-topk8", "-in", at("first").key, "-out", out, "-passout", "pass:x"], { stdio: "pipe" });
		expect(files({ key: out })).toThrow("is encrypted; a key without a passphrase is wanted");
	});
	test("an expired certificate, and one that isn't good yet", () => {
		expect(() => readTls(at("first"), Date.now() + 3 * 86_400_000)).toThrow(/expired at \d{4}-/);
		expect(() => readTls(at("first"), Date.now() - 3 * 86_400_000)).toThrow("is good from");
	});
});

describe("a gateway with a certificate", () => {
	let gateway: GatewayServer;
	let stop: (() => void) | undefined;
	const files = () => at("used");
	beforeAll(async () => {
		for (const which of ["certificate", "key"] as const) cpSync(at("first")[which], files()[which]);
		const tls = readTls(files());
		const connections = { total: 3, perAddress: 3, trusted: [] };
		gateway = createGatewayServer({ answerStallMs: 60_000, answerBytes: 1e9, onCut: () => undefined, tls, connections });
		gateway.serve((incoming, response) => response.end(`served ${incoming.url}`));
		await once(gateway.server.listen(0, "127.0.0.1"), "listening");
	});
	afterEach(() => stop?.());
	afterAll(async () => {
		gateway.server.closeAllConnections();
		await gateway.close(0);
	});

	const port = () => (gateway.server.address() as AddressInfo).port;
	async function asked() {
		const sent = request({ port: port(), host: "127.0.0.1", path: "/a", rejectUnauthorized: false, agent: false }).end();
		const [response] = await once(sent, "response");
		const { subject } = response.socket.getPeerCertificate();
		return { body: await text(response), hsts: response.headers["strict-transport-security"], subject: subject.CN };
	}

	test("serves over TLS, and says that it will go on to", async () => {
		expect(await asked()).toEqual({ body: "served /a", hsts: "max-age=31536000", subject: "first" });
	});

	test("TLS before 1.2 and plain HTTP are refused, and others served", async () => {
		const old = connect({ port: port(), host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.1", minVersion: "TLSv1" });
		await expect(once(old, "secureConnect")).rejects.toThrow();
		const plain = connectPlain(port(), "127.0.0.1");
		plain.on("error", () => undefined);
		plain.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
		expect(await text(plain).catch(() => "")).not.toContain("served");
		expect((await asked()).body).toBe("served /a");
	});

	test("beyond the bound of connections is closed before anything is said", async () => {
		const held = [1, 2, 3].map(() => connectPlain(port(), "127.0.0.1"));
		await Promise.all(held.map((one) => once(one, "connect")));
		const beyond = connectPlain(port(), "127.0.0.1");
		beyond.on("error", () => undefined);
		expect(await text(beyond).catch(() => "")).toBe("");
		for (const one of held) one.destroy();
		await expect.poll(async () => (await asked().catch(() => undefined))?.body).toBe("served /a");
	});

	test("takes another one that is put in its place, and keeps the one before where that is broken", async () => {
		const lines: string[] = [];
		const expiries: number[] = [];
		const log = { warn: () => undefined, info: () => void lines.push("taken"), error: () => void lines.push("broken") };
		stop = followTls(files(), gateway.server as unknown as Server, log as unknown as ReturnType<typeof createLogger>, (atMs) =>
			expiries.push(atMs),
		);
		cpSync(at("second").certificate, files().certificate);
		// It is followed from some moment on: a change before that is none.
		let later = 10_000;
		await expect
			.poll(() => {
				utimesSync(files().certificate, new Date(), new Date(Date.now() + later++));
				return lines;
			})
			.toContain("broken");
		expect((await asked()).subject).toBe("first");
		cpSync(at("second").key, files().key);
		utimesSync(files().key, new Date(), new Date(Date.now() + 20_000));
		await expect.poll(() => lines).toContain("taken");
		expect((await asked()).subject).toBe("second");
		expect(new Set(expiries)).toEqual(new Set([expiryOf(readFileSync(at("second").certificate))]));
		expect(expiries[0]).toBeGreaterThan(Date.now());
	});
});
