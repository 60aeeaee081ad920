import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ClientOptions } from "@berth/client";
import { CommandFailure, EXIT } from "./exit-codes.js";
import { codeOf, fileFault, isMissing, messageOf } from "./system-errors.js";

/** Whom the client believes to be its gateway. */
export type TlsTrust = NonNullable<ClientOptions["tls"]>;

/** How this machine's gateway is known. */
interface OwnTrust {
	readonly tls: TlsTrust;
	/** What is wrong with the file of its certificate, and what to do. */
	readonly fault?: { readonly found: string; readonly mend: string };
}

/**
 * This machine's stack is known by its certificate itself, whatever name that is for. Where the file is missing, broken or expired
 * the gateway serves on, and it is known by the certificate that it was started with.
 * @throws CommandFailure when there is neither
 */
export async function ownTrust(certificate: string, startedWith: string | undefined, nowMs = Date.now()): Promise<OwnTrust> {
	const { text, wrong } = await certificateIn(certificate, nowMs);
	const ca = wrong === undefined ? text : (startedWith ?? text);
	if (wrong === undefined && ca !== undefined) return { tls: { ca, isOwn: true } };
	const servesAnother = startedWith !== undefined && !(text !== undefined && isSame(text, startedWith));
	const found = `The certificate file ${certificate} ${wrong}${servesAnother ? "; the gateway serves the one before" : ""}`;
	const mend = "Put a good one there, with its key: it is taken within seconds.";
	if (ca === undefined) throw new CommandFailure(EXIT.failed, `${found}. ${mend}`);
	return { tls: { ca, isOwn: true }, fault: { found: `${found}.`, mend } };
}

/** The first certificate of a file, and nothing else that is in it. @throws Error when there is none */
export async function firstCertificate(path: string): Promise<string> {
	return new X509Certificate(await readFile(path)).toString();
}

/** Issuers that are named. @throws CommandFailure */
export async function trustOf(caFile: string): Promise<TlsTrust> {
	try {
		const text = await readFile(caFile, "utf8");
		new X509Certificate(text);
		return { ca: text };
	} catch (error) {
		const why = codeOf(error)?.startsWith("ERR_OSSL") === true ? "there is none in it" : fileFault(error);
		throw new CommandFailure(EXIT.usage, `${caFile} (--ca-file or BERTH_CA_FILE) has no certificates in PEM that can be read: ${why}`);
	}
}

/** What a file has, and what is wrong with it: each may be absent. */
async function certificateIn(path: string, nowMs: number): Promise<{ readonly text?: string; readonly wrong?: string }> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		return { wrong: isMissing(error) ? "is missing" : `can't be read (${messageOf(error)})` };
	}
	try {
		const until = Date.parse(new X509Certificate(text).validTo);
		return nowMs < until ? { text } : { text, wrong: `has a certificate that expired at ${new Date(until).toISOString()}` };
	} catch {
		return { wrong: "is broken: there is no certificate in PEM in it" };
	}
}

function isSame(one: string, other: string): boolean {
	return new X509Certificate(one).raw.equals(new X509Certificate(other).raw);
}
