import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What hosts are held against that secrets are sent to: this machine's certificates, those that Node comes with, and the operator's. Read once, when they are first needed. */
export class Roots {
	readonly #own: readonly string[];
	#all: readonly string[] | undefined;
	#text: string | undefined;
	#context: SecureContext | undefined;

	/** @param file the operator's, PEM. @throws Error when it can't be read, or has none */
	constructor(file: string | undefined) {
		this.#own = file === undefined ? [] : certificatesIn(file);
	}

	/** PEM: hundreds of KiB, so that all who say it say this one text. */
	get text(): string {
		this.#text ??= this.#certificates.join("\n");
		return this.#text;
	}

	get context(): SecureContext {
		this.#context ??= createSecureContext({ ca: [...this.#certificates], minVersion: "TLSv1.2" });
		return this.#context;
	}

	get #certificates(): readonly string[] {
		this.#all ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system"), ...this.#own])];
		return this.#all;
	}
}

function certificatesIn(file: string): readonly string[] {
	const found = readFileSync(file, "utf8").match(CERTIFICATE) ?? [];
	if (found.length === 0) throw new Error(`BERTH_EGRESS_CA_FILE: ${file} has no certificate (PEM)`);
	for (const one of found) new X509Certificate(one);
	return found;
}
