import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createPlain, type Server } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { DAY_MS } from "@berth/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommandLine } from "./program.js";
import { Terminal } from "./terminal.js";
import { firstCertificate, ownTrust } from "./tls-trust.js";

let directory: string;
let certificate: string;
let startedWith: string;
const servers: Server[] = [];
const ports: number[] = [];
beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "tls-trust-"));
	certificate = join(directory, "a.crt");
	const key = join(directory, "a.key");
	const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate];
	const subject = ["-subj", "/CN=a", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
	execFileSync("openssl", ["req", "-x509", ...kind, ...subject], { stdio: "pipe" });
	startedWith = await firstCertificate(certificate);
	servers.push(
		createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (_, response) =>
			response.setHeader("content-type", "application/json").end('{"projects":[]}'),
		),
		createPlain((_, response) => response.end("{}")),
	);
	for (const server of servers) {
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		ports.push((server.address() as AddressInfo).port);
	}
});
afterAll(async () => {
	for (const server of servers) await new Promise((resolve) => server.close(resolve));
	rmSync(directory, { recursive: true });
});

describe("this machine's gateway", () => {
	test("is known by its certificate's file", async () => {
		expect(await ownTrust(certificate, undefined)).toEqual({ tls: { ca: readFileSync(certificate, "utf8"), isOwn: true } });
	});

	test.each([
		["missing", undefined, "is missing; the gateway serves the one before."],
		["broken", "junk", "is broken: there is no certificate in PEM in it; the gateway serves the one before."],
	])("is known by what it was started with when the file is %s, which is said", async (name, content, words) => {
		const path = join(directory, `${name}.crt`);
		if (content !== undefined) writeFileSync(path, content);
		const { tls, fault } = await ownTrust(path, startedWith);
		expect(tls).toEqual({ ca: startedWith, isOwn: true });
		expect(fault?.found).toBe(`The certificate file ${path} ${words}`);
		expect(fault?.mend).toContain("Put a good one there");
		await expect(ownTrust(path, undefined)).rejects.toMatchObject({ message: expect.stringContaining(path) });
	});

	test("one that has expired is said to be, and to be another only when it is", async () => {
		const { fault } = await ownTrust(certificate, startedWith, Date.now() + 3 * DAY_MS);
		expect(fault?.found).toMatch(/has a certificate that expired at [\dT:.-]+Z\.$/);
	});

	test("of a file with a key, too, the certificate alone is kept", async () => {
		const both = join(directory, "both.pem");
		writeFileSync(both, readFileSync(join(directory, "a.key"), "utf8") + startedWith);
		expect(await firstCertificate(both)).toBe(startedWith);
	});
});

async function projects(...args: string[]) {
	const stderr = new PassThrough();
	const surroundings = { terminal: new Terminal(new PassThrough(), stderr, true), user: { noColour: true }, stdin: Readable.from([]) };
	const code = await runCommandLine([...args, "--key", "k", "project", "list"], surroundings);
	return { code, err: String(stderr.read() ?? "") };
}

describe("a gateway that isn't reached says how it would be:", () => {
	test("an issuer that nobody has named", async () => {
		const url = `https://localhost:${ports[0]}`;
		expect(await projects("--url", url)).toMatchObject({
			code: 3,
			err: expect.stringContaining("--ca-file or BERTH_CA_FILE names a file"),
		});
		expect(await projects("--url", url, "--ca-file", certificate)).toMatchObject({ code: 0 });
	});

	test("a name that its certificate hasn't", async () => {
		const answer = await projects("--url", `https://127.0.0.1:${ports[0]}`, "--ca-file", certificate);
		expect(answer).toMatchObject({ code: 3, err: expect.stringContaining("by a name that its certificate has") });
	});

	test("http where https is spoken, and https where http is", async () => {
		const plain = await projects("--url", `http://localhost:${ports[0]}`);
		expect(plain).toMatchObject({
			code: 3,
			err: expect.stringContaining(`it may speak https there (--url https://localhost:${ports[0]})`),
		});
		const tls = await projects("--url", `https://localhost:${ports[1]}`);
		expect(tls).toMatchObject({ code: 3, err: expect.stringContaining("it may speak http there") });
	});
});
