import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { DAY_MS } from "@berth/contracts";
import { expect, test } from "vitest";
import { Authorities } from "./authority.js";
import { authorityCertificate, hostCertificate } from "./certificate.js";

/** What a client that trusts one certificate finds of a server. */
async function handshake(ca: string, context: ReturnType<Authorities["of"]>["contexts"], host: string): Promise<string> {
	const server = createServer({ SNICallback: (_, done) => done(null, context.get(host)?.()) }, (socket) => socket.end());
	server.on("tlsClientError", () => undefined);
	await once(server.listen(0, "127.0.0.1"), "listening");
	const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", servername: host, ca });
	const end = await Promise.race([
		once(client, "secureConnect").then(() => "secure"),
		new Promise<string>((resolve) => client.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))),
	]);
	client.destroy();
	server.close();
	return end;
}

test("who trusts it trusts what stands for its hosts, and nothing of another one", async () => {
	const authorities = new Authorities();
	const { certificate, contexts } = authorities.of(["api.example.com", "other.example.org"]);
	for (const host of ["api.example.com", "other.example.org"]) expect(await handshake(certificate, contexts, host)).toBe("secure");
	expect(await handshake(authorities.of(["third.example"]).certificate, contexts, "api.example.com")).toMatch(
		/UNABLE_TO|SELF_SIGNED|UNKNOWN_CA/,
	);
	expect([...contexts.keys()]).toEqual(["api.example.com", "other.example.org"]);
});

test("openssl takes it, strictly, and refuses a certificate of it for another name", () => {
	const directory = mkdtempSync(join(tmpdir(), "authority-"));
	try {
		const times = { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + DAY_MS) };
		const own = authorityCertificate("Berth", ["api.example.com"], times);
		const [ca, good, bad] = ["ca", "good", "bad"].map((name) => join(directory, name)) as [string, string, string];
		writeFileSync(ca, own.certificate);
		writeFileSync(good, hostCertificate("api.example.com", own, times).certificate);
		writeFileSync(bad, hostCertificate("api.example.net", own, times).certificate);
		const verify = (file: string) =>
			execFileSync("openssl", ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, file], {
				encoding: "utf8",
				stdio: "pipe",
			});
		expect(verify(good)).toMatch(/OK/);
		expect(() => verify(bad)).toThrow(/permitted subtree violation/);
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("it is kept for a day, and good for longer", () => {
	const authorities = new Authorities();
	const now = Date.now();
	const first = authorities.of(["b.example", "a.example"], now);
	expect(authorities.of(["a.example", "b.example", "a.example"], now + DAY_MS - 1)).toBe(first);
	expect(authorities.of(["a.example", "b.example"], now + DAY_MS).id).not.toBe(first.id);
	expect(new X509Certificate(first.certificate).validToDate.getTime()).toBeGreaterThan(now + 6 * DAY_MS);
});
