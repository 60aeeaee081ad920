import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

/** Where certificate (with those that lead to its issuer, in PEM) and key are. */
export interface TlsFiles {
	readonly certificate: string;
	readonly key: string;
}

/** What the server is made with. */
export interface TlsIdentity {
	readonly cert: Buffer;
	readonly key: Buffer;
	readonly minVersion: "TLSv1.2";
}

/** Reads and checks them. @throws Error naming the setting, the file and what is wrong with it */
export function readTls(files: TlsFiles, nowMs = Date.now()): TlsIdentity {
	const cert = read("BERTH_TLS_CERT", files.certificate);
	const key = read("BERTH_TLS_KEY", files.key);
	const certificate = certificateIn(cert, files.certificate);
	const from = Date.parse(certificate.validFrom);
	const until = Date.parse(certificate.validTo);
	if (nowMs >= until)
		throw new Error(`the certificate in ${files.certificate} (BERTH_TLS_CERT) expired at ${iso(until)}: put a new one there`);
	if (nowMs < from)
		throw new Error(
			`the certificate in ${files.certificate} (BERTH_TLS_CERT) is good from ${iso(from)} on: is this machine's clock right?`,
		);
	if (!certificate.checkPrivateKey(keyIn(key, files.key)))
		throw new Error(`the key in ${files.key} (BERTH_TLS_KEY) isn't that of the first certificate in ${files.certificate} (BERTH_TLS_CERT)`);
	return { cert, key, minVersion: "TLSv1.2" };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates in a file of the operator's, PEM, one each. @throws Error naming the setting, the file and what is wrong with it */
export function egressCertificates(file: string): readonly string[] {
	const found = read("BERTH_EGRESS_CA_FILE", file).toString("latin1").match(CERTIFICATE) ?? [];
	if (found.length === 0) throw new Error(`${file} (BERTH_EGRESS_CA_FILE) has no certificate in PEM ("-----BEGIN CERTIFICATE-----")`);
	for (const [at, one] of found.entries()) {
		try {
			new X509Certificate(one);
		} catch (error) {
			throw new Error(`certificate ${at + 1} in ${file} (BERTH_EGRESS_CA_FILE) is damaged: ${(error as Error).message}`);
		}
	}
	return found;
}

function read(setting: string, path: string): Buffer {
	try {
		return readFileSync(path);
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code;
		const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a directory" : (error as Error).message;
		throw new Error(`${setting}: ${path} can't be read: ${why}`);
	}
}

function certificateIn(bytes: Buffer, path: string): X509Certificate {
	try {
		return new X509Certificate(bytes);
	} catch {
		throw new Error(`${path} (BERTH_TLS_CERT) has no certificate in PEM ("-----BEGIN CERTIFICATE-----")`);
	}
}

function keyIn(bytes: Buffer, path: string) {
	try {
		return createPrivateKey(bytes);
	} catch (error) {
		const isLocked = (error as NodeJS.ErrnoException).code === "ERR_MISSING_PASSPHRASE" || bytes.includes("ENCRYPTED");
		const what = isLocked
			? "is encrypted; a key without a passphrase is wanted"
			: 'has no private key in PEM ("-----BEGIN PRIVATE KEY-----")';
		throw new Error(`${path} (BERTH_TLS_KEY) ${what}`);
	}
}

function iso(ms: number): string {
	return new Date(ms).toISOString();
}
