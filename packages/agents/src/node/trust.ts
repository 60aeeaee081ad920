import { writeFileSync } from "node:fs";
import * as tls from "node:tls";

/** Where it is for programs that a function starts; and for a program that is the function. It stays in fresh scratch. */
export const TRUSTED_FILE = "/tmp/.berth-certificates.pem";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** By which programs find them: OpenSSL's, Go's and Python's; Node's; those of requests, curl and git. */
const VARIABLES = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];

/** Writes down what is trusted in TLS. @param certificates PEM; empty: nothing but what is anyway. @returns variables for what is started */
export function trustedFile(certificates: Uint8Array): Readonly<Record<string, string>> {
	if (certificates.length === 0) return {};
	writeFileSync(TRUSTED_FILE, certificates);
	return Object.fromEntries(VARIABLES.map((name) => [name, TRUSTED_FILE]));
}

/** The same in this process. */
export function trust(certificates: Uint8Array): Readonly<Record<string, string>> {
	if (certificates.length > 0) tls.setDefaultCACertificates(Buffer.from(certificates).toString("latin1").match(CERTIFICATE) ?? []);
	return trustedFile(certificates);
}
