import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { egressCertificates } from "@berth/config";

/** What hosts are held against that secrets are sent to: this machine's certificates, those that Node comes with, and the operator's. Read once, when they are first needed. */
export class Roots {
	readonly #own: readonly string[];
	#all: readonly string[] | undefined;
	#text: string | undefined;
	#context: SecureContext | undefined;

	/** @param file the operator's, PEM. @throws Error when it can't be read, or has none */
	constructor(file: string | undefined) {
		this.#own = file === undefined ? [] : egressCertificates(file);
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
