import { createPrivateKey, X509Certificate } from "node:crypto";
import { accessSync, constants, readFileSync, unwatchFile, watchFile } from "node:fs";
import type { Server } from "node:https";
import { SECOND_MS } from "@berth/contracts";
import type { Logger } from "@berth/telemetry";

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

/** How often the files are looked at, milliseconds: those who renew certificates replace them in many ways, links among them. */
const LOOK_MS = 2 * SECOND_MS;

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

/** Takes what is put in their places, for new connections; what is wrong with it is logged, and the ones before stay. @returns stops that */
export function followTls(files: TlsFiles, server: Server, log: Logger): () => void {
	const paths = [files.certificate, files.key];
	try {
		for (const path of paths) accessSync(path, constants.R_OK);
	} catch (err) {
		log.warn({ err }, "certificate and key can be read by root alone: new ones are taken at the next start, and not before");
	}
	const take = () => {
		try {
			server.setSecureContext(readTls(files));
			log.info(files, "a new certificate was taken");
		} catch (err) {
			log.error({ err }, "certificate and key that were changed can't be taken; those before stay");
		}
	};
	for (const path of paths) watchFile(path, { interval: LOOK_MS, persistent: false }, take);
	return () => {
		for (const path of paths) unwatchFile(path, take);
	};
}

function read(setting: string, path: string): Buffer {
	try {
		return readFileSync(path);
	} catch (error) {
		throw new Error(`${setting}: ${path} can't be read: ${(error as Error).message}`);
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
